//! Where a process may end in the midst of something: tests have it end there, as a power cut would.

/// This has been done, and the next has not. Nothing, in what ships; in a build for tests the process is gone if
/// `SOLDER_TEST_DIE_AT` in its environment is this name.
pub fn step(name: &str) {
    #[cfg(feature = "testing")]
    if std::env::var("SOLDER_TEST_DIE_AT").is_ok_and(|at| at == name) {
        // At once, as by kill -9: nothing is written or closed any more.
        std::process::abort();
    }
    #[cfg(not(feature = "testing"))]
    let _ = name;
}
