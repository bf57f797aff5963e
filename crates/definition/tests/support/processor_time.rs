//! What a thread has cost, whatever else its machine does.

use std::time::Duration;

/// This thread's processor time, in steps of 10 ms: ticks are what the kernel keeps, 100 a second on every Linux that
/// there is.
pub fn processor_time() -> Duration {
    let stat = fs_err::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // The state, ten numbers, then time in user and in kernel mode (proc_pid_stat(5)).
    let ticks: u64 =
        behind_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
