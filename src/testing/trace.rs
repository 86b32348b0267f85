//! The output of `strace -f -o FILE`: a line for each system call, or two lines if another
//! thread made a call meanwhile.

/// A line of the output.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// The system call.
    pub(crate) name: &'a str,
    /// True if the call begins in this line, not in an earlier one.
    pub(crate) begins: bool,
    text: &'a str,
}

impl Line<'_> {
    /// The return value, if it is a number from 0 up.
    pub(crate) fn result(&self) -> Option<usize> {
        self.text.rsplit(" = ").next()?.parse().ok()
    }
}

/// Returns the lines with system calls.
pub(crate) fn lines(trace: &str) -> impl Iterator<Item = Line<'_>> {
    trace.lines().filter_map(|text| {
        let rest = text.split_once(' ')?.1.trim_start();
        let (begins, name) = match rest.strip_prefix("<... ") {
            Some(resumed) => (false, resumed.split(' ').next()?),
            None => (true, rest.split_once('(')?.0),
        };
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then_some(Line { name, begins, text })
    })
}
