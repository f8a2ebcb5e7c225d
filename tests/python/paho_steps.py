"""What every client has to do, with Paho: connect, subscribe, publish at each QoS, retained, will,
and a session that goes on. Usage: paho_steps.py HOST PORT TRANSPORT; exit code 0 if all is done."""

import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WAIT = 20


class Client:
    """A connection whose events can be waited for."""

    def __init__(self, name, version, clean=True, will=None):
        v5 = version == mqtt.MQTTv5
        more = {} if v5 else {"clean_session": clean}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, name, protocol=version, transport=TRANSPORT, **more
        )
        if TRANSPORT == "websockets":
            self.client.ws_set_options(path="/mqtt")
        if will:
            self.client.will_set(will, "gone", qos=1)
        self.changed = threading.Condition()
        self.messages, self.granted, self.connack = [], None, None
        self.client.on_connect = self.connected
        self.client.on_subscribe = self.subscribed
        self.client.on_message = self.message
        options = {}
        if v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else 600
            options = {"clean_start": clean, "properties": properties}
        self.client.connect(HOST, PORT, keepalive=30, **options)
        self.client.loop_start()
        self.wait("CONNACK", lambda: self.connack)

    def tell(self, change):
        with self.changed:
            change()
            self.changed.notify_all()

    def connected(self, _client, _data, flags, reason, _properties):
        assert not reason.is_failure, reason
        self.tell(lambda: setattr(self, "connack", flags))

    def subscribed(self, _client, _data, _mid, reasons, _properties):
        self.tell(lambda: setattr(self, "granted", [reason.value for reason in reasons]))

    def message(self, _client, _data, message):
        self.tell(lambda: self.messages.append(message))

    def wait(self, what, look):
        with self.changed:
            if not self.changed.wait_for(look, WAIT):
                sys.exit(f"{what}: not within {WAIT} s; came: {[m.topic for m in self.messages]}")
            return look()

    def expect(self, what, wanted):
        return self.wait(what, lambda: next((m for m in self.messages if wanted(m)), None))

    def subscribe(self, topic, qos):
        self.granted = None
        self.client.subscribe(topic, qos)
        assert self.wait("SUBACK", lambda: self.granted) == [qos], self.granted

    def publish(self, topic, payload, qos, retain=False):
        self.client.publish(topic, payload, qos, retain).wait_for_publish(WAIT)

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


def steps(version, label):
    top = f"clients/paho-{TRANSPORT}-{label}"
    sub = Client(f"{top}-sub".replace("/", "-"), version, clean=False)
    sub.subscribe(f"{top}/#", 2)
    pub = Client(f"{top}-pub".replace("/", "-"), version, will=f"{top}/will")
    for qos in (0, 1, 2):
        pub.publish(f"{top}/q{qos}", str(qos), qos)
        got = sub.expect(f"QoS {qos}", lambda m: m.topic.endswith(f"/q{qos}"))
        assert got.qos == qos, got.qos
    large = b"x" * 200_000
    pub.publish(f"{top}/large", large, 1)
    sub.expect("large", lambda m: m.payload == large)
    pub.publish(f"{top}/kept", "kept", 1, retain=True)
    sub.expect("kept", lambda m: m.topic.endswith("/kept"))
    sub.end()
    pub.publish(f"{top}/away", "away", 1)
    again = Client(f"{top}-sub".replace("/", "-"), version, clean=False)
    assert again.connack.session_present, "the session is gone"
    again.expect("what came meanwhile", lambda m: m.payload == b"away")
    late = Client(f"{top}-late".replace("/", "-"), version)
    late.subscribe(f"{top}/kept", 1)
    late.expect("retained", lambda m: m.retain and m.payload == b"kept")
    late.publish(f"{top}/kept", "", 1, retain=True)
    # Without a DISCONNECT: the will.
    pub.client.loop_stop()
    pub.client.socket().close()
    again.expect("the will", lambda m: m.topic.endswith("/will") and m.payload == b"gone")
    again.end()
    late.end()
    print(f"MQTT {label}: all done")


HOST, PORT, TRANSPORT = sys.argv[1], int(sys.argv[2]), sys.argv[3]
steps(mqtt.MQTTv311, "3.1.1")
steps(mqtt.MQTTv5, "5")
