//! Network namespaces for tests: a thread that left the machine's own.

use std::io;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace that lives as long as the value.  Programs and threads started from its
/// thread are in it; the kernel removes it, with all devices, when the last of them has ended.
pub struct Space {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// By which `ip link set … netns` finds the namespace.
    pub thread_id: i32,
}

impl Space {
    pub fn new() -> Self {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (told, tell) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            // SAFETY: plain system calls; only this thread changes its namespace.
            let (failed, thread_id) = unsafe { (libc::unshare(libc::CLONE_NEWNET) != 0, libc::gettid()) };
            let error = failed.then(io::Error::last_os_error);
            told.send((error, thread_id)).unwrap();
            for job in inbox {
                job();
            }
        });
        let (error, thread_id) = tell.recv().unwrap();
        if let Some(error) = error {
            panic!("these tests need root, to make network namespaces: {error}");
        }
        let space = Self { jobs: Some(jobs), thread: Some(thread), thread_id };
        space.command("ip", &["link", "set", "lo", "up"]);
        space
    }

    /// Runs `work` on the thread of the namespace and waits for it.  A panic in it goes on here.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let (told, tell) = mpsc::channel();
        let job: Box<dyn FnOnce() + Send + '_> = Box::new(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let _ = told.send(outcome);
        });
        // SAFETY: only the lifetime changes, and this function does not return before the job ended.
        let job: Job = unsafe { std::mem::transmute(job) };
        self.jobs.as_ref().unwrap().send(job).unwrap();
        match tell.recv().unwrap() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Runs asynchronous work in the namespace.  All threads of its runtime start from there.
    pub fn run<T: Send>(&self, work: impl AsyncFnOnce(&Space) -> T + Send) -> T {
        // Commands of the namespace are wanted from inside as well, where its thread is busy.
        let inside = Space { jobs: None, thread: None, thread_id: self.thread_id };
        self.enter(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work(&inside))
        })
    }

    /// Runs a program in the namespace and returns what it printed; panics when it fails.
    pub fn command(&self, program: &str, arguments: &[&str]) -> String {
        let (worked, said) = self.try_command(program, arguments);
        assert!(worked, "{program} {arguments:?}: {said}");
        said
    }

    pub fn try_command(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let run = || {
            let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect(program);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let error = String::from_utf8_lossy(&output.stderr);
            (output.status.success(), if output.status.success() { said } else { said + &error })
        };
        if self.jobs.is_some() { self.enter(run) } else { run() }
    }

    /// Waits until an address answers, as a kernel takes a moment to notice that a cable is plugged in.
    pub fn await_answer(&self, address: &str) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.try_command("ping", &["-n", "-c", "1", "-W", "0.2", address]).0 {
            assert!(Instant::now() < deadline, "{address} does not answer");
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
