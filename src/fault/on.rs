//! The plan of a fault, and its effect on system calls and sockets.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;

const HEADER: usize = 16;
const NLMSG_NOOP: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;

/// The fault of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The step is refused and not executed. The kernel executes the rest of the datagram.
    Refused(Errno),
    /// The request never reaches the kernel, so no answer arrives.
    TimedOut,
    /// The kernel executes the request, and the answer is lost.
    AnswerLost,
    /// The kernel executes the request, and the answer is cut in half.
    AnswerShort,
    /// The kernel executes the request, and the answer has the sequence number of another request.
    AnswerForeign,
}

struct Plan {
    what: What,
    /// The number of steps before the fault.
    left: usize,
    happened: Option<String>,
}

enum What {
    Fault(Fault),
    /// Other code runs just before the step. Then the step runs.
    Meanwhile(Option<Box<dyn FnOnce() + Send>>),
}

impl Plan {
    fn refused(&self) -> Option<Errno> {
        match self.what {
            What::Fault(Fault::Refused(errno)) => Some(errno),
            _ => None,
        }
    }
}

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);

fn plan() -> MutexGuard<'static, Option<Plan>> {
    PLAN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the step with this number, counted from 0, fail in this process.
pub(crate) fn arm(fault: Fault, step: usize) {
    *plan() = Some(Plan { what: What::Fault(fault), left: step, happened: None });
}

/// Runs `work` in this process before the step with this number, counted from 0. The fault that
/// `work` arms last happens to that step.
pub(crate) fn meanwhile(step: usize, work: impl FnOnce() + Send + 'static) {
    let what = What::Meanwhile(Some(Box::new(work)));
    *plan() = Some(Plan { what, left: step, happened: None });
}

/// Ends the faults. Returns which step failed, if one did.
pub(crate) fn disarm() -> Option<String> {
    plan().take()?.happened
}

/// Counts `steps`. Returns the fault and its position if one of the steps is to fail.
fn count(steps: usize, name: impl FnOnce(usize) -> String) -> Option<(Fault, usize)> {
    let mut armed = plan();
    let plan = armed.as_mut().filter(|plan| plan.happened.is_none())?;
    if plan.left >= steps {
        plan.left -= steps;
        return None;
    }
    plan.happened = Some(name(plan.left));
    let place = plan.left;
    match &mut plan.what {
        What::Fault(fault) => Some((*fault, place)),
        What::Meanwhile(work) => {
            let work = work.take();
            // `work` makes requests, which count steps themselves.
            drop(armed);
            if let Some(work) = work {
                work();
            }
            let mut armed = self::plan();
            let plan = armed.as_mut().filter(|plan| plan.happened.is_none())?;
            plan.happened = Some("what was done before it".into());
            match plan.what {
                What::Fault(fault) => Some((fault, place)),
                What::Meanwhile(_) => None,
            }
        }
    }
}

/// Runs before a system call that may fail.
pub(crate) fn system_call(name: &'static str) -> Result<(), Errno> {
    // Only sockets have answers that can be lost or late.
    let is_step = |plan: &Plan| match plan.what {
        What::Fault(fault) => matches!(fault, Fault::Refused(errno) if !is_lie(errno)),
        What::Meanwhile(_) => true,
    };
    if !plan().as_ref().is_some_and(is_step) {
        return Ok(());
    }
    match count(1, |_| name.into()) {
        Some((Fault::Refused(errno), _)) => Err(errno),
        _ => Ok(()),
    }
}

/// Runs before a thread returns from another namespace. Other builds run nothing there.
pub(crate) fn on_return() -> Result<(), Errno> {
    if NO_RETURN.load(Ordering::Relaxed) {
        return Err(Errno::EPERM);
    }
    let is_refusal = plan().as_ref().and_then(Plan::refused).is_some();
    if is_refusal { system_call("return") } else { Ok(()) }
}

/// Returns how long to wait for another program. While faults are armed, a test acts as that
/// program at each of many steps, and a wait for it would never end.
pub(crate) fn patience(wait: Duration) -> Duration {
    if plan().is_some() { wait.min(Duration::from_millis(300)) } else { wait }
}

/// Refuses every return from now on.
pub(crate) fn refuse_returns() {
    NO_RETURN.store(true, Ordering::Relaxed);
}

static NO_RETURN: AtomicBool = AtomicBool::new(false);

/// Returns whether the errno claims that an object exists, is missing, or is unsupported. Such an
/// errno can be true for a request that creates an object. For any other request it would be false,
/// and netloom would believe it.
fn is_lie(errno: Errno) -> bool {
    matches!(errno, Errno::EEXIST | Errno::ENODEV | Errno::ENOENT | Errno::EOPNOTSUPP)
}

/// The faults between a socket and the kernel.
#[derive(Debug)]
pub(crate) struct OnSocket {
    is_netfilter: bool,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Nothing,
    /// An answer to deliver first.
    Answer(Vec<u8>),
    /// The kernel seems silent until the next request.
    Silence,
    Cut,
    Foreign,
}

impl OnSocket {
    pub(crate) fn new(is_netfilter: bool) -> Self {
        Self { is_netfilter, next: Next::Nothing }
    }

    /// Applies the fault to a datagram. Returns the part that still goes to the kernel.
    pub(crate) fn sending<'b>(&mut self, bytes: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        self.next = Next::Nothing;
        let starts = starts(bytes);
        // Requests of a batch of `nf_tables` are done together or not at all.
        let is_atomic = self.is_netfilter && u16_at(bytes, 4) == NFNL_MSG_BATCH_BEGIN;
        // Each request of a datagram may be refused, but answers are lost for the whole datagram.
        let refused = plan().as_ref().and_then(Plan::refused);
        let may_fail: Vec<usize> = match refused {
            Some(errno) if is_lie(errno) => {
                let makes = |start: &usize| self.makes(&bytes[*start..]);
                let deletes = |start: &usize| self.deletes(&bytes[*start..]);
                // A deletion that also creates something still counts as a deletion.
                let is_deletion = starts.iter().any(deletes);
                let places = 0..starts.len();
                places.filter(|place| !is_deletion && makes(&starts[*place])).collect()
            }
            Some(_) => (0..starts.len()).collect(),
            None => vec![0],
        };
        let kind = |place: usize| {
            let start: usize = starts[may_fail[place]];
            format!("request of type {}", u16_at(bytes, start + 4))
        };
        let Some((fault, place)) = count(may_fail.len(), kind) else { return Some(bytes.into()) };
        let place = may_fail[place];
        match fault {
            Fault::Refused(errno) => {
                let mut answer = answer(&bytes[starts[place]..], errno as i32);
                if is_atomic {
                    // The kernel still acknowledges the other requests.
                    let asked = |start: &&usize| u16_at(bytes, **start + 6) & NLM_F_ACK != 0;
                    for start in
                        starts.iter().filter(asked).filter(|start| **start != starts[place])
                    {
                        answer.extend(self::answer(&bytes[*start..], 0));
                    }
                    self.next = Next::Answer(answer);
                    return None;
                }
                self.next = Next::Answer(answer);
                let mut bytes = bytes.to_vec();
                let at = starts[place];
                let flags = u16_at(&bytes, at + 6) & !NLM_F_ACK;
                bytes[at + 4..at + 6].copy_from_slice(&NLMSG_NOOP.to_ne_bytes());
                bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
                Some(bytes.into())
            }
            Fault::TimedOut => {
                self.next = Next::Silence;
                None
            }
            Fault::AnswerLost => {
                self.next = Next::Silence;
                Some(bytes.into())
            }
            Fault::AnswerShort => {
                self.next = Next::Cut;
                Some(bytes.into())
            }
            Fault::AnswerForeign => {
                self.next = Next::Foreign;
                Some(bytes.into())
            }
        }
    }

    /// Returns whether a request creates an object.
    fn makes(&self, request: &[u8]) -> bool {
        // In a list request, these flags have other meanings.
        let is_get = !self.is_netfilter && u16_at(request, 4) % 4 == 2;
        !is_get && u16_at(request, 6) & NLM_F_CREATE != 0
    }

    /// Returns whether a request deletes an object of `nf_tables`: `NFT_MSG_DELTABLE`, -`CHAIN`,
    /// -`RULE`, -`SET`, -`SETELEM`.
    fn deletes(&self, request: &[u8]) -> bool {
        const NFNL_SUBSYS_NFTABLES: u16 = 10;
        let kind = u16_at(request, 4);
        self.is_netfilter
            && kind >> 8 == NFNL_SUBSYS_NFTABLES
            && [2, 5, 8, 11, 14].contains(&(kind & 0xff))
    }

    /// Returns an answer instead of the kernel's. `ETIMEDOUT`: the deadline has passed.
    pub(crate) fn receiving(&mut self, buffer: &mut [u8]) -> Option<Result<usize, Errno>> {
        match &self.next {
            Next::Answer(bytes) => {
                let length = bytes.len();
                buffer[..length].copy_from_slice(bytes);
                self.next = Next::Nothing;
                Some(Ok(length))
            }
            Next::Silence => Some(Err(Errno::ETIMEDOUT)),
            _ => None,
        }
    }

    /// Changes an answer, and returns its length.
    pub(crate) fn received(&mut self, buffer: &mut [u8], length: usize) -> usize {
        match self.next {
            Next::Cut => {
                self.next = Next::Silence;
                // Never cuts at the end of a message.
                ((length / 2) & !3) + 2
            }
            Next::Foreign => {
                self.next = Next::Silence;
                for start in starts(&buffer[..length]) {
                    buffer[start + 11] ^= 0x80;
                }
                length
            }
            _ => length,
        }
    }
}

/// Returns the start of each message.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + HEADER <= bytes.len() {
        starts.push(at);
        let length = u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        at += usize::try_from(length).unwrap().max(HEADER).next_multiple_of(4);
    }
    starts
}

/// Returns a capped acknowledgement of the request. An errno of 0 reports success.
fn answer(request: &[u8], errno: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(u32::try_from(HEADER + 4 + HEADER).unwrap().to_ne_bytes());
    bytes.extend(2_u16.to_ne_bytes());
    bytes.extend(NLM_F_CAPPED.to_ne_bytes());
    bytes.extend(&request[8..16]);
    bytes.extend((-errno).to_ne_bytes());
    bytes.extend(&request[..HEADER]);
    bytes
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}
