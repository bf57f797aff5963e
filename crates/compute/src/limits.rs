//! Holding a container to its limits: by control groups where they can be had, else by what a process can be held to.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::Limits;
use crate::cgroup::Cgroup;

/// Limits of a process, for what no control group could hold. They are inherited.
#[derive(Debug, Default)]
pub(crate) struct Fallbacks {
    memory: Option<u64>,
    processes: Option<u64>,
    processors: Option<f64>,
}

/// Makes a control group for what can be held by one, and says aloud what cannot.
pub(crate) fn arrange(limits: &Limits, notes: &mut Vec<String>) -> (Cgroup, Fallbacks) {
    let (cgroup, unmet) = Cgroup::make(limits);
    let mut fallbacks = Fallbacks::default();
    if let Some(memory) = unmet.memory {
        // Private writable memory rather than address space, of which GPU and numeric libraries
        // reserve many times what they use.
        fallbacks.memory = Some(memory);
        notes.push(format!(
            "this machine gives us no control group: the memory limit of {memory} bytes holds for each process, \
             not for all together, and memory shared between processes does not count"
        ));
    }
    if let Some(pids) = unmet.pids {
        fallbacks.processes = Some(pids);
        notes.push(format!(
            "this machine gives us no control group: the limit of {pids} processes is the user's, and does not \
             bind root"
        ));
    }
    if let Some(cpus) = unmet.cpus {
        fallbacks.processors = Some(cpus);
        notes.push(format!(
            "this machine gives us no control group: the limit of {cpus} processors is kept by running on no more \
             than {}",
            cpus.ceil()
        ));
    }
    (cgroup, fallbacks)
}

impl Fallbacks {
    /// Applies them to this process.
    pub fn apply(&self) -> nix::Result<()> {
        let lower = |resource, limit: u64| {
            let (_, hard) = getrlimit(resource)?;
            let limit = limit.min(hard);
            setrlimit(resource, limit, limit)
        };
        if let Some(memory) = self.memory {
            lower(Resource::RLIMIT_DATA, memory)?;
        }
        if let Some(processes) = self.processes {
            lower(Resource::RLIMIT_NPROC, processes)?;
        }
        if let Some(processors) = self.processors {
            let this = Pid::from_raw(0);
            let allowed = sched_getaffinity(this)?;
            let mut chosen = CpuSet::new();
            let usable = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
            for (_, cpu) in usable.enumerate().take_while(|(taken, _)| (*taken as f64) < processors) {
                chosen.set(cpu)?;
            }
            sched_setaffinity(this, &chosen)?;
        }
        Ok(())
    }
}
