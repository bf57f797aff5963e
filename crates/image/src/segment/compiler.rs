//! The environment's own Python as a compiler: some processes, each fed by a thread, shared by all packages of a build.

use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Error;
use crate::marshal::canonical;
use crate::python::PythonHost;

const WORKER: &str = include_str!("compile_worker.py");

/// A `.pyc`'s header: magic number, flags, hash of the source.
const HEADER: usize = 16;

/// The largest answer that is believed.
const LIMIT: usize = 1 << 30;

/// Compiles modules in a few processes of the image's Python.
pub(crate) struct Compiler {
    jobs: Sender<Job>,
    program: Arc<Program>,
}

/// A `.pyc` that a worker makes meanwhile.
pub(crate) struct Answer {
    path: String,
    program: Arc<Program>,
    later: Receiver<Result<Option<Vec<u8>>, Error>>,
}

struct Job {
    path: String,
    source: Vec<u8>,
    answer: Sender<Result<Option<Vec<u8>>, Error>>,
}

/// What every worker process is started with.
struct Program {
    host: Arc<dyn PythonHost>,
    layers: Vec<PathBuf>,
    python: String,
    minor: u32,
}

impl Compiler {
    /// `workers` processes of `python` (its path in `layers`, the bottom one first); each starts with its first module.
    pub fn new(
        host: Arc<dyn PythonHost>,
        layers: Vec<PathBuf>,
        python: String,
        minor: u32,
        workers: usize,
    ) -> Self {
        let program = Arc::new(Program { host, layers, python, minor });
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..workers.max(1) {
            let (program, queue) = (Arc::clone(&program), Arc::clone(&queue));
            // The threads end when the compiler is dropped: the queue is closed then.
            std::thread::spawn(move || serve(&program, &queue));
        }
        Self { jobs, program }
    }

    /// Queues a module, called `path` in the image.
    pub fn compile(&self, path: String, source: Vec<u8>) -> Answer {
        let (answer, later) = channel();
        // It fails only when every thread has gone, and then nobody answers, which the reader sees.
        let _ = self.jobs.send(Job { path: path.clone(), source, answer });
        Answer { path, program: Arc::clone(&self.program), later }
    }
}

impl Answer {
    /// Waits for the `.pyc`, `None` where the module does not compile, and brings it to its one form: here and not in the
    /// thread that feeds the worker, which has the next module to hand over.
    pub fn wait(self) -> Result<Option<Vec<u8>>, Error> {
        let Self { path, program, later } = self;
        let answer = later.recv().unwrap_or_else(|_| {
            let source = io::ErrorKind::BrokenPipe.into();
            Err(Error::Python { program: program.python.clone(), source })
        })?;
        answer.map(|pyc| program.canonical(&path, &pyc)).transpose()
    }
}

fn serve(program: &Program, queue: &Mutex<Receiver<Job>>) {
    let mut worker = None;
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { path, source, answer }) = job else { break };
        let _ = answer.send(program.compile(&mut worker, &path, &source));
    }
}

impl Program {
    fn compile(
        &self,
        worker: &mut Option<Worker>,
        path: &str,
        source: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        let failed = |source| Error::Python { program: self.python.clone(), source };
        // A second process gets the module if the first one dies on it: it may have died of something else.
        for _ in 0..2 {
            let running = match worker.take() {
                Some(running) => running,
                None => self.start().map_err(failed)?,
            };
            let running = worker.insert(running);
            if let Ok(answer) = running.ask(path, source) {
                return Ok(answer);
            }
            worker.take();
        }
        Err(Error::PythonDied { program: self.python.clone(), module: path.to_owned() })
    }

    fn start(&self) -> io::Result<Worker> {
        // Not `-I`: it ignores PYTHONHASHSEED. No user site, no site, no bytecode written.
        let command = [&self.python, "-s", "-S", "-B", "-c", WORKER].map(str::to_owned);
        let env = [("PYTHONHASHSEED", "0"), ("LC_ALL", "C.UTF-8")];
        let mut child = self.host.spawn(&self.layers, &command, &env)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| io::Error::other("stdin and stdout are not piped"))?;
        Ok(Worker { child, stdin: Some(BufWriter::new(stdin)), stdout: BufReader::new(stdout) })
    }

    fn canonical(&self, path: &str, pyc: &[u8]) -> Result<Vec<u8>, Error> {
        let (header, code) = pyc.split_at(HEADER.min(pyc.len()));
        let code = canonical(code, self.minor).map_err(|source| Error::Bytecode {
            program: self.python.clone(),
            module: path.to_owned(),
            source,
        })?;
        Ok([header, &code].concat())
    }
}

/// A process of the worker script.
struct Worker {
    child: Child,
    stdin: Option<BufWriter<ChildStdin>>,
    stdout: BufReader<ChildStdout>,
}

impl Worker {
    fn ask(&mut self, path: &str, source: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        for bytes in [path.as_bytes(), source] {
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            stdin.write_all(&length.to_le_bytes())?;
            stdin.write_all(bytes)?;
        }
        stdin.flush()?;
        let mut head = [0; 5];
        self.stdout.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > LIMIT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut answer = vec![0; length];
        self.stdout.read_exact(&mut answer)?;
        Ok((head[0] == 0).then_some(answer))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends by itself when its stdin is closed; one that does not is ended.
        self.stdin.take();
        for _ in 0..50 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(2)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
