//! A version that faults more than the one before it is taken back.

use quartier_tests::eventually;
use serde_json::Value;

use super::{City, HOSTILE, PATIENCE, POISON};

fn changes(city: &City) -> Vec<Value> {
    let one = city
        .node
        .json(&format!("/api/v1/plugins/{HOSTILE}/hostile"));
    one["changes"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_version_that_faults_more_than_the_one_before_is_taken_back_once_and_says_why() {
    let Some(mut city) = City::new() else { return };
    city.deploys(&city.hostile(&[]), "trap");
    for _ in 0..5 {
        city.hostile_reads(1.0);
    }
    let next = city.hostile(&[("version = \"1.0.0\"", "version = \"1.0.1\"")]);
    city.deploys(&next, "trap");
    for _ in 0..30 {
        city.hostile_reads(POISON);
    }
    eventually("the version before is back", PATIENCE, || {
        let one = city.plugin(HOSTILE, "hostile");
        match one["version"] == "1.0.0" {
            true => Ok(()),
            false => Err(one.to_string()),
        }
    });
    let last = changes(&city).first().cloned().unwrap_or_default();
    assert_eq!(
        (&last["what"], &last["by"]),
        (&"rollback".into(), &"guard".into()),
        "{last}"
    );
    let why = last["why"].as_str().unwrap_or_default();
    assert!(
        why.contains("1.0.1 failed") && why.contains("1.0.0 before it"),
        "{why}"
    );
    // The old one faults as well; there is nothing better to go back to.
    let before = changes(&city).len();
    for _ in 0..30 {
        city.hostile_reads(POISON);
        city.good_goes_on();
    }
    assert_eq!(changes(&city).len(), before);
}
