use super::*;
use jst_protocol::desired::{Desired, OneShot, OneShotKind};

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("jst-ledger-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> Ledger {
        Ledger::open(&self.0).unwrap().0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn deleted(id: Uuid, epoch: i64, generation: i64) -> DesiredInstance {
    DesiredInstance { id, generation, epoch, presence: Presence::Deleted, actions: vec![] }
}

fn document(revision: i64, complete: bool, instances: Vec<DesiredInstance>) -> Desired {
    Desired {
        host_id: Uuid::nil(),
        revision,
        complete,
        instances,
        host: HostSettings::default(),
        consoles: Vec::new(),
    }
}

#[test]
fn what_was_accepted_is_there_after_a_restart() {
    let directory = Directory::new();
    let id = Uuid::now_v7();
    directory.open().accept(&document(7, true, vec![deleted(id, 1, 3)])).unwrap();
    let ledger = directory.open();
    assert_eq!(ledger.revision(), 7);
    assert_eq!(ledger.get(id).unwrap().desired.generation, 3);
}

#[test]
fn older_epochs_and_generations_are_ignored() {
    let directory = Directory::new();
    let ledger = directory.open();
    let id = Uuid::now_v7();
    ledger.accept(&document(1, true, vec![deleted(id, 2, 5)])).unwrap();
    for (epoch, generation) in [(1, 9), (2, 4)] {
        let accepted = ledger.accept(&document(2, false, vec![deleted(id, epoch, generation)])).unwrap();
        assert!(accepted.changed.is_empty());
        assert_eq!(ledger.get(id).unwrap().desired.generation, 5);
    }
    assert_eq!(ledger.accept(&document(3, false, vec![deleted(id, 3, 1)])).unwrap().changed, [id]);
}

#[test]
fn absence_is_told_and_deletes_nothing() {
    let directory = Directory::new();
    let ledger = directory.open();
    let id = Uuid::now_v7();
    ledger.accept(&document(1, true, vec![deleted(id, 1, 1)])).unwrap();
    assert!(ledger.accept(&document(2, false, vec![])).unwrap().unlisted.is_empty());
    assert_eq!(ledger.accept(&document(3, true, vec![])).unwrap().unlisted, [id]);
    assert!(ledger.get(id).is_some());
}

#[test]
fn the_buried_do_not_come_back() {
    let directory = Directory::new();
    let ledger = directory.open();
    let id = Uuid::now_v7();
    ledger.accept(&document(1, true, vec![deleted(id, 4, 1)])).unwrap();
    assert!(!ledger.bury(id, 3).unwrap(), "an acknowledgement of another epoch");
    assert!(ledger.bury(id, 4).unwrap());
    let ledger = directory.open();
    assert!(ledger.get(id).is_none());
    assert!(ledger.accept(&document(2, false, vec![deleted(id, 3, 9)])).unwrap().changed.is_empty());
    assert_eq!(
        ledger.accept(&document(2, false, vec![deleted(id, 4, 1)])).unwrap().changed,
        [id],
        "asked again"
    );
}

#[test]
fn a_repeated_tombstone_is_answered_and_a_repeated_wish_is_not_news() {
    let directory = Directory::new();
    let ledger = directory.open();
    let id = Uuid::now_v7();
    for _ in 0..2 {
        assert_eq!(ledger.accept(&document(1, true, vec![deleted(id, 1, 1)])).unwrap().changed, [id]);
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_the_rest_is_kept() {
    let directory = Directory::new();
    let (whole, damaged) = (Uuid::now_v7(), Uuid::now_v7());
    let instances = vec![deleted(whole, 1, 1), deleted(damaged, 1, 1)];
    directory.open().accept(&document(5, true, instances)).unwrap();
    let path = directory.0.join(format!("ledger/{damaged}.json"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let (ledger, was_damaged) = Ledger::open(&directory.0).unwrap();
    assert!(was_damaged);
    assert_eq!(ledger.ids(), [whole]);
    assert!(path.with_extension("damaged").exists());
    // The next document brings it back, although its revision is not newer.
    assert_eq!(ledger.accept(&document(5, true, vec![deleted(damaged, 1, 1)])).unwrap().changed, [damaged]);
}

#[test]
fn a_write_that_was_cut_off_leaves_the_old_content() {
    let directory = Directory::new();
    let id = Uuid::now_v7();
    directory.open().accept(&document(1, true, vec![deleted(id, 1, 1)])).unwrap();
    std::fs::write(directory.0.join(format!("ledger/{id}.json.new")), b"{\"desired\":").unwrap();
    let (ledger, damaged) = Ledger::open(&directory.0).unwrap();
    assert!(!damaged);
    assert_eq!(ledger.get(id).unwrap().desired.generation, 1);
}

#[test]
fn outcomes_are_kept_as_long_as_their_actions_are_listed() {
    let directory = Directory::new();
    let ledger = directory.open();
    let (id, action) = (Uuid::now_v7(), Uuid::now_v7());
    let mut wanted = deleted(id, 1, 1);
    wanted.actions = vec![OneShot { id: action, kind: OneShotKind::Reboot }];
    ledger.accept(&document(1, true, vec![wanted.clone()])).unwrap();
    ledger.remember(id, |memo| drop(memo.actions.insert(action, Outcome::Applied))).unwrap();
    wanted.generation = 2;
    ledger.accept(&document(2, false, vec![wanted.clone()])).unwrap();
    assert_eq!(directory.open().get(id).unwrap().memo.actions[&action], Outcome::Applied);
    wanted.actions.clear();
    ledger.accept(&document(3, false, vec![wanted])).unwrap();
    assert!(ledger.get(id).unwrap().memo.actions.is_empty());
}

#[test]
fn network_totals_never_go_back() {
    let mut base = NetworkBase::default();
    assert_eq!(base.advance(100, 10), (100, 10));
    assert_eq!(base.advance(150, 20), (150, 20));
    // The device was made anew.
    assert_eq!(base.advance(5, 1), (155, 21));
    assert_eq!(base.advance(7, 2), (157, 22));
}

#[test]
fn the_ledger_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    let id = Uuid::now_v7();
    directory.open().accept(&document(1, true, vec![deleted(id, 1, 1)])).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.0.join("ledger")), 0o700);
    assert_eq!(mode(&directory.0.join(format!("ledger/{id}.json"))), 0o600);
}
