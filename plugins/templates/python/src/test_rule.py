"""The rule without a node. `python3 -m unittest discover src`"""

import unittest

from rule import HOUR_MS, Place, Settings, on_hour

SETTINGS = Settings(limit=50, clear_margin=0.1, coverage=0.75, raise_after=2, clear_after=3)


def said(means):
    place = Place()
    return [on_hour(place, SETTINGS, hour * HOUR_MS, mean, 1.0) for hour, mean in enumerate(means, 1)]


class Dust(unittest.TestCase):
    def test_one_bad_hour_is_not_an_alert(self):
        self.assertEqual([alarm for alarm, _ in said([51, 49, 51])], [None] * 3)

    def test_two_bad_hours_in_a_row_raise_and_three_good_ones_clear(self):
        alarms = [alarm for alarm, _ in said([51, 52, 60, 44, 44, 44])]
        self.assertEqual(alarms, [None, "raise", None, None, None, "clear"])

    def test_the_mean_of_a_day_needs_eighteen_hours(self):
        means = [mean for _, mean in said([10.0] * 17 + [28.0])]
        self.assertEqual(means, [None] * 17 + [11.0])


if __name__ == "__main__":
    unittest.main()
