//! Tests of the data folder, the cursors and the dead letters.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::event::FORMAT;
use crate::model::Millis;

fn letter(number: u64, reason: &str) -> DeadLetter {
    DeadLetter {
        at: Millis(number as i64),
        source: "meter-1".to_owned(),
        topic: format!("dt/johannstadt/{number}"),
        reason: reason.to_owned(),
        detail: "no number".to_owned(),
        payload: b"abc".to_vec(),
    }
}

fn ids(letters: &[StoredLetter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.id).collect()
}

#[test]
fn cursors_survive_a_reopen_and_begin_at_zero() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.cursor("influx").unwrap(), 0);
    store.set_cursor("influx", 7).unwrap();
    store.set_cursor("twin", 1 << 40).unwrap();
    store.set_cursor("influx", 9).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.cursor("influx").unwrap(), 9);
    let all = [("influx".to_owned(), 9), ("twin".to_owned(), 1 << 40)];
    assert_eq!(store.cursors().unwrap(), all);
    store.remove_cursor("influx").unwrap();
    assert_eq!(store.cursors().unwrap(), all[1..]);
}

#[test]
fn dead_letters_are_listed_newest_first_by_page_and_by_reason() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for number in 1..=20 {
        let reason = if number % 2 == 0 { "unit" } else { "json" };
        assert_eq!(store.put_dead_letter(letter(number, reason)), Some(number));
    }
    assert_eq!(
        ids(&store.dead_letters(3, None, None).unwrap()),
        [20, 19, 18]
    );
    assert_eq!(
        ids(&store.dead_letters(3, Some(18), None).unwrap()),
        [17, 16, 15]
    );
    assert_eq!(
        ids(&store.dead_letters(2, Some(18), Some("unit")).unwrap()),
        [16, 14]
    );
    assert_eq!(
        ids(&store.dead_letters(2, None, Some("size")).unwrap()),
        [] as [u64; 0]
    );
    let oldest = store.dead_letters(9, Some(2), None).unwrap();
    assert_eq!(oldest[0].letter, letter(1, "json"));
}

#[test]
fn only_the_newest_dead_letters_are_kept_across_reopens() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let store = Store::open_with(dir.path(), 50).unwrap();
        assert_eq!(store.dead_letter_count(), (round * 40).min(50));
        for number in 1..=40 {
            let number = round * 40 + number;
            assert_eq!(store.put_dead_letter(letter(number, "json")), Some(number));
            if number % 7 == 0 {
                store.flush().unwrap();
            }
            assert_eq!(store.dead_letter_count(), number.min(50));
        }
        let last = (round + 1) * 40;
        let expected: Vec<_> = (1..=last).rev().take(50).collect();
        assert_eq!(
            ids(&store.dead_letters(1000, None, None).unwrap()),
            expected
        );
    }
}

#[test]
fn dead_letters_reach_the_disk_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for number in 1..=3 {
        store.put_dead_letter(letter(number, "json"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while store.dead_letters.stored().is_none_or(|id| id < number) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_flood_of_dead_letters_is_bounded_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let begin = std::time::Instant::now();
    let mut kept = 0;
    for number in 0..100_000 {
        kept += u64::from(store.put_dead_letter(letter(number, "json")).is_some());
        // What was written makes room to wait again, and must not make room for more.
        if number % 1000 == 0 {
            store.flush().unwrap();
        }
    }
    let allowed = u128::from(PUT_BURST) + begin.elapsed().as_millis() * u128::from(PUT_RATE) / 1000;
    assert!(u128::from(kept) <= allowed + 1, "{kept} of {allowed}");
    assert!(kept >= u64::from(PUT_BURST));
    assert_eq!(store.dead_letters_skipped(), 100_000 - kept);
    assert_eq!(store.dead_letter_count(), kept);
}

#[test]
fn large_payloads_and_texts_are_cut_at_a_character() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let large = DeadLetter {
        topic: "ä".repeat(40_000),
        detail: format!("x{}", "ä".repeat(40_000)),
        payload: vec![7; 1 << 20],
        ..letter(1, "size")
    };
    store.put_dead_letter(large);
    let kept = store.dead_letters(1, None, None).unwrap().remove(0);
    assert_eq!(kept.payload_size, 1 << 20);
    assert_eq!(kept.letter.payload, [7; MAX_PAYLOAD]);
    assert_eq!(kept.letter.topic, "ä".repeat(MAX_TEXT / 2));
    assert_eq!(kept.letter.detail.len(), MAX_TEXT - 1);
}

#[test]
fn retained_messages_of_version_0_1_are_moved_to_the_broker_once() {
    let dir = tempfile::tempdir().unwrap();
    {
        let database = fjall::Database::builder(dir.path()).open().unwrap();
        let old = database
            .keyspace(super::OLD_RETAINED, fjall::KeyspaceCreateOptions::default)
            .unwrap();
        old.insert("a/b", "1").unwrap();
    }
    for _ in 0..2 {
        let store = Store::open(dir.path()).unwrap();
        let mut topics = Vec::new();
        let read = quartier_broker::Disk::read(&store, &mut |key, _| topics.push(key.to_vec()));
        read.unwrap();
        assert_eq!(topics, [b"ta/b"]);
        assert!(!store.database.keyspace_exists(super::OLD_RETAINED));
    }
}

#[test]
fn an_idle_store_takes_little_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for number in 1..=500 {
        store.put_dead_letter(letter(number, "json"));
    }
    store.flush().unwrap();
    let output = Command::new("du")
        .arg("-sk")
        .arg(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let kib: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib < 1024, "{kib} KiB");
}

/// The child of the test below: says whether it got the folder.
#[test]
fn child_opens_the_folder_it_is_told() {
    let Ok(path) = std::env::var("QUARTIER_TEST_DATA_DIR") else {
        return;
    };
    match DataDir::open(path) {
        Ok(_) => println!("child: opened"),
        Err(error) => println!("child: {error}"),
    }
}

#[test]
fn a_second_process_on_the_folder_is_refused_and_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let child = || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "store::tests::child_opens_the_folder_it_is_told",
            ])
            .env("QUARTIER_TEST_DATA_DIR", dir.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let mine = DataDir::open(dir.path()).unwrap();
    let refusal = format!("in use by process {}; stop", std::process::id());
    let said = child();
    assert!(said.contains(&refusal), "{said}");
    assert!(matches!(
        DataDir::open(dir.path()),
        Err(DataDirError::InUse { .. })
    ));
    drop(mine);
    let said = child();
    assert!(said.contains("child: opened"), "{said}");
}

#[test]
fn a_folder_of_another_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(DataDir::open(dir.path()).unwrap());
    let format = dir.path().join("format");
    assert_eq!(fs::read_to_string(&format).unwrap(), format!("{FORMAT}\n"));
    fs::write(&format, format!("{}\n", FORMAT + 1)).unwrap();
    let refusal = DataDir::open(dir.path()).unwrap_err();
    assert!(matches!(refusal, DataDirError::Newer { found, .. } if found == FORMAT + 1));
    assert!(
        refusal.to_string().contains("start the later version"),
        "{refusal}"
    );
    fs::write(&format, "0").unwrap();
    assert!(matches!(
        DataDir::open(dir.path()),
        Err(DataDirError::Older { found: 0, .. })
    ));
    for unknown in [b"".as_slice(), b"one", b"\xff\xfe"] {
        fs::write(&format, unknown).unwrap();
        assert!(matches!(
            DataDir::open(dir.path()),
            Err(DataDirError::Unknown { .. })
        ));
        assert_eq!(fs::read(&format).unwrap(), unknown);
    }
}

#[test]
fn data_without_a_format_are_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("journal")).unwrap();
    assert!(matches!(
        DataDir::open(dir.path()),
        Err(DataDirError::Unknown { .. })
    ));
    assert!(!dir.path().join("format").exists());
}

#[test]
fn a_folder_that_cannot_be_used_is_named_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refusal = DataDir::open(file.join("data")).unwrap_err();
    assert!(matches!(refusal, DataDirError::Create { .. }));
    let data = dir.path().join("data");
    fs::create_dir_all(data.join("lock")).unwrap();
    let unwritable = DataDir::open(&data).unwrap_err();
    assert!(matches!(unwritable, DataDirError::Access { .. }));
    for refusal in [refusal, unwritable] {
        let text = refusal.to_string();
        assert!(
            text.contains(dir.path().to_str().unwrap()) && !text.contains('\n'),
            "{text}"
        );
    }
    let locked = dir.path().join("read-only");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("SKIPPED: this process may write into read-only folders");
        return;
    }
    assert!(matches!(
        DataDir::open(&locked),
        Err(DataDirError::Access { .. })
    ));
}
