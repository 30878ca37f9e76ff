use object_store::ObjectStoreExt;

use super::*;
use crate::file_table::tests::{id_of, session, Folder, OPEN_FILES};

fn lease(folder: &Folder, bytes: &[u8]) -> (Arc<Lease>, ListedFile) {
    let path = folder.file("a b%20#?.bin", bytes);
    let listed = ListedFile { path: path.to_str().unwrap().to_string(), id: id_of(&path) };
    let engine = &session().engine;
    let release = Release::new(None, std::ptr::null_mut());
    let files = [listed.clone()];
    let lease = engine.registry.register(&engine.files, &files, &engine.pools, release).unwrap();
    (lease, listed)
}

fn wait<T>(future: impl std::future::Future<Output = T>) -> T {
    session().engine.pools.cpu.block_on(future)
}

/// Bytes that tell where they are from.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn ranges_give_the_bytes_they_name_whatever_is_read_together() {
    let folder = Folder::new();
    let bytes = pattern(3 << 20);
    let (lease, listed) = lease(&folder, &bytes);
    let mut state = 12345u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..50 {
        let ranges: Vec<Range<u64>> = (0..1 + random(20))
            .map(|_| {
                let start = random(bytes.len() as u64 - 1);
                start..(start + 1 + random(300_000)).min(bytes.len() as u64)
            })
            .collect();
        let got = wait(lease.store.get_ranges(&listed.location(), &ranges)).unwrap();
        for (range, got) in ranges.iter().zip(got) {
            assert_eq!(got, bytes[range.start as usize..range.end as usize]);
        }
    }
}

#[test]
fn whole_file_arrives_in_pieces_and_in_order() {
    let folder = Folder::new();
    let bytes = pattern((5 << 20) + 7);
    let (lease, listed) = lease(&folder, &bytes);
    let whole = wait(async { lease.store.get(&listed.location()).await?.bytes().await }).unwrap();
    assert!(whole == bytes, "the file differs");
    let options = GetOptions { range: Some(GetRange::Suffix(10)), ..Default::default() };
    let result = wait(lease.store.get_opts(&listed.location(), options)).unwrap();
    assert_eq!(wait(result.bytes()).unwrap(), bytes[bytes.len() - 10..]);
    assert_eq!(wait(lease.store.head(&listed.location())).unwrap().size, bytes.len() as u64);
}

#[test]
fn reader_that_goes_away_leaves_no_file_open() {
    let folder = Folder::new();
    let (lease, listed) = lease(&folder, &pattern(4 << 20));
    let mut stream = wait(lease.store.get(&listed.location())).unwrap().into_stream();
    wait(stream.next()).unwrap().unwrap();
    drop(stream);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while OPEN_FILES.load(Ordering::SeqCst) > 0 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(OPEN_FILES.load(Ordering::SeqCst), 0);
}

#[test]
fn files_outside_the_list_and_all_writing_are_refused() {
    let folder = Folder::new();
    let (lease, listed) = lease(&folder, b"x");
    let other = Path::from("etc/passwd");
    assert!(matches!(wait(lease.store.get(&other)), Err(object_store::Error::NotFound { .. })));
    let here = listed.location();
    assert!(wait(lease.store.put(&here, PutPayload::from_static(b"y"))).is_err());
    assert!(wait(lease.store.delete(&here)).is_err());
    assert!(wait(lease.store.copy(&here, &other)).is_err());
    assert!(wait(lease.store.list(None).next()).unwrap().is_err());
    assert_eq!(std::fs::read(&listed.path).unwrap(), b"x");
}

#[test]
fn store_is_known_while_its_lease_lives_and_no_other_is() {
    let folder = Folder::new();
    let (lease, _) = lease(&folder, b"x");
    let registry = Arc::clone(&session().engine.registry);
    let url = Url::parse(lease.url.as_str()).unwrap();
    assert!(registry.get_store(&url).is_ok());
    for foreign in ["file:///etc/passwd", "http://localhost/x", "igloo-file://t0/x"] {
        assert!(registry.get_store(&Url::parse(foreign).unwrap()).is_err(), "{foreign}");
    }
    drop(lease);
    assert!(registry.get_store(&url).is_err());
}

#[test]
fn error_of_c_survives_the_way_through_the_store() {
    let folder = Folder::new();
    let (lease, listed) = lease(&folder, b"x");
    std::fs::write(&listed.path, b"other").unwrap();
    let error = wait(lease.store.get(&listed.location())).unwrap_err();
    let error = Box::<Error>::from(DataFusionError::from(error));
    assert_eq!((error.status, error.sqlstate.as_str()), (Status::FailedPrecondition, "55000"));
}
