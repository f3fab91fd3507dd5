//! The one clock of the bench: CLOCK_MONOTONIC in microseconds, and sleeping until a point on it.

/// Microseconds on CLOCK_MONOTONIC.
pub fn now_us() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC).unwrap_or(0) / 1000
}

/// Nanoseconds on any clock of the kernel's, a process's CPU clock included.
pub fn clock_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours and as large as the call expects.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) };
    (failed == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Sleeps until `us`; returns at once when that is over.
pub fn sleep_until(us: u64) {
    let until = libc::timespec { tv_sec: (us / 1_000_000) as _, tv_nsec: (us % 1_000_000 * 1000) as _ };
    // SAFETY: `until` is ours; the call writes nothing when the last pointer is null.
    while unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &until, std::ptr::null_mut()) }
        == libc::EINTR
    {}
}

/// For the calling thread: without this, Linux lets every sleep run 50 us long.
pub fn sharpen_timers() {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1u64) };
}
