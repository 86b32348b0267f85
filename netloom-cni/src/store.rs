//! The records of attachments on disk, readable even if a write was interrupted.
//!
//! A network has a directory. An attachment is a file there with several names (hard links): its
//! own name, and each address that it reserves. The file is written and synced before it gets any
//! name, and the directory is synced before ADD succeeds. An address belongs to the attachment
//! whose file has the address as a name. So DEL never releases an address that another attachment
//! has taken.
//!
//! | name | what |
//! |---|---|
//! | `CONTAINER@INTERFACE` | an attachment |
//! | `10.88.0.2` | an address that is taken: the attachment's file, or one of `host-local`'s |
//! | `last.0` | the address that the first set gave out last, as the target of a symbolic link |
//! | `lock` | whoever changes something holds it (flock) |
//! | `new` | what an ADD has begun with; left of one that was killed, it gets an attachment's name
//! by the next who comes |

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::attachment::Attachment;
use crate::failure::Failure;
use crate::host::PATIENCE;

/// A network's directory. It stays locked until this value is dropped.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    _lock: File,
}

/// An address that was chosen from a set of ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) set: usize,
    pub(crate) address: IpAddr,
}

/// A record that is written, but not yet synced.
#[derive(Debug)]
pub(crate) struct Written(File);

/// The record of an attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The container's addresses, whichever plugin assigned them.
    pub(crate) addresses: Vec<IpNet>,
}

impl Store {
    /// Opens a network's directory. Creates the directory if it is missing.
    pub(crate) fn open(data: &Path, network: &str) -> Result<Self, Failure> {
        let directory = data.join(network);
        if let Some(store) = Self::lock(&directory, network)? {
            return Ok(store);
        }
        make(&directory).map_err(|error| Failure::file("make directory", &directory, &error))?;
        let gone = || Failure::file("lock", &directory, &ErrorKind::NotFound.into());
        Self::lock(&directory, network)?.ok_or_else(gone)
    }

    /// Opens a network's directory. Returns `None` if it is missing.
    pub(crate) fn existing(data: &Path, network: &str) -> Result<Option<Self>, Failure> {
        let directory = data.join(network);
        if directory.is_dir() { Self::lock(&directory, network) } else { Ok(None) }
    }

    fn lock(directory: &Path, network: &str) -> Result<Option<Self>, Failure> {
        let path = directory.join("lock");
        let open = || -> io::Result<Self> {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let lock = options.open(&path)?;
            lock_in_time(&lock)?;
            let store = Self { directory: directory.to_owned(), _lock: lock };
            store.finish(network)?;
            Ok(store)
        };
        match open() {
            Ok(store) => Ok(Some(store)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file("lock", &path, &error)),
        }
    }

    /// Names the record that a killed ADD left as `new`. The cable of that ADD may exist, so DEL
    /// and GC must find the attachment.
    fn finish(&self, network: &str) -> io::Result<()> {
        let new = self.path("new");
        let text = match fs::read(&new) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            text => text?,
        };
        if let Some(attachment) = attachment_of(network, &text) {
            match fs::hard_link(&new, self.path(&attachment.file_name())) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        remove(&new)
    }

    /// Reads the record of an attachment. An unreadable record counts as a record without
    /// addresses.
    pub(crate) fn record(&self, attachment: &Attachment) -> Result<Option<Record>, Failure> {
        let path = self.path(&attachment.file_name());
        match fs::read(&path) {
            Ok(text) => Ok(Some(Record::parse(&text).unwrap_or_default())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file("read", &path, &error)),
        }
    }

    pub(crate) fn is_free(&self, address: IpAddr) -> Result<bool, Failure> {
        let path = self.path(&address.to_string());
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Failure::file("look at", &path, &error)),
        }
    }

    /// Returns whether an address belongs to this attachment.
    pub(crate) fn has(&self, attachment: &Attachment, address: IpAddr) -> bool {
        is_same(&self.path(&attachment.file_name()), &self.path(&address.to_string()))
    }

    /// Returns the address that was last assigned from a set.
    pub(crate) fn last(&self, set: usize) -> Option<IpAddr> {
        let target = fs::read_link(self.path(&format!("last.{set}"))).ok()?;
        target.to_str()?.parse().ok()
    }

    /// Returns all assigned addresses.
    pub(crate) fn addresses(&self) -> Result<Vec<IpAddr>, Failure> {
        Ok(self.names()?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns all attachments of the network.
    pub(crate) fn attachments(&self, network: &str) -> Result<Vec<Attachment>, Failure> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| Attachment::of_file(network, name)).collect())
    }

    fn names(&self) -> Result<Vec<String>, Failure> {
        let list = || -> io::Result<Vec<String>> {
            let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name());
            let names = fs::read_dir(&self.directory)?.map(name).collect::<io::Result<Vec<_>>>()?;
            Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
        };
        list().map_err(|error| Failure::file("list", &self.directory, &error))
    }

    /// Writes the record of an attachment before any part of the attachment exists. The record
    /// survives a killed process, but is not synced to disk yet.
    pub(crate) fn write(
        &self,
        attachment: &Attachment,
        record: &Record,
    ) -> Result<Written, Failure> {
        let new = self.path("new");
        let write = || -> io::Result<File> {
            remove(&new)?;
            let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
            file.write_all(record.to_json(attachment).to_string().as_bytes())?;
            Ok(file)
        };
        write().map(Written).map_err(|error| {
            remove(&new).ok();
            Failure::file("write", &new, &error)
        })
    }

    /// Syncs and names the record of an attachment, and reserves its addresses. When this function
    /// returns, the changes survive a power cut.
    pub(crate) fn keep(
        &self,
        attachment: &Attachment,
        written: &Written,
        choices: &[Choice],
    ) -> Result<(), Failure> {
        let keep = || -> io::Result<()> {
            let new = self.path("new");
            written.0.sync_all()?;
            // The attachment's own name first: a file with only an address name would belong to no
            // attachment and never be released.
            fs::hard_link(&new, self.path(&attachment.file_name()))?;
            for choice in choices {
                fs::hard_link(&new, self.path(&choice.address.to_string()))?;
            }
            remove(&new)?;
            for Choice { set, address } in choices {
                symlink(address.to_string(), &new)?;
                fs::rename(&new, self.path(&format!("last.{set}")))?;
            }
            self.sync()
        };
        keep().map_err(|error| {
            remove(&self.path("new")).ok();
            let path = self.path(&attachment.file_name());
            let failure = Failure::file("write", &path, &error);
            match self.forget(attachment) {
                Ok(()) => failure,
                Err(second) => failure.details(second.to_string()),
            }
        })
    }

    /// Deletes the record of an attachment and releases its addresses. Succeeds if a name is
    /// missing.
    pub(crate) fn forget(&self, attachment: &Attachment) -> Result<(), Failure> {
        let own = self.path(&attachment.file_name());
        let record = self.record(attachment)?;
        let forget = || -> io::Result<()> {
            let Some(record) = record else { return Ok(()) };
            for address in record.addresses {
                let path = self.path(&address.addr().to_string());
                if is_same(&own, &path) {
                    remove(&path)?;
                }
            }
            // The record may be unreadable, so find its other names by the inode, and delete them.
            if fs::symlink_metadata(&own).is_ok_and(|file| file.nlink() > 1) {
                for name in self.names().unwrap_or_default() {
                    let path = self.path(&name);
                    if path != own && is_same(&own, &path) {
                        remove(&path)?;
                    }
                }
            }
            // Delete the record last: as long as it exists, DEL can be repeated.
            remove(&own)?;
            self.sync()
        };
        forget().map_err(|error| Failure::file("delete", &own, &error))
    }

    /// Releases addresses whose file has no attachment name. After a power cut, one name may be on
    /// disk without the other. The addresses of the `host-local` plugin are not touched.
    pub(crate) fn forget_nameless(&self, network: &str) -> Result<(), Failure> {
        for name in self.names()? {
            if name.parse::<IpAddr>().is_err() {
                continue;
            }
            let path = self.path(&name);
            let text = fs::read(&path).unwrap_or_default();
            let Some(attachment) = attachment_of(network, &text) else { continue };
            if !is_same(&self.path(&attachment.file_name()), &path) {
                remove(&path).map_err(|error| Failure::file("delete", &path, &error))?;
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// Locks the file, after making it unreadable for ordinary users. An ordinary user could otherwise
/// open the file and lock it. The `host-local` plugin creates it readable.
fn lock_in_time(file: &File) -> io::Result<()> {
    if file.metadata()?.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(TryLockError::WouldBlock) => return Err(ErrorKind::TimedOut.into()),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

/// Creates a directory and its parents. Syncs the parents, so that the directory survives a power
/// cut.
fn make(directory: &Path) -> io::Result<()> {
    let missing = directory.ancestors().take_while(|one| !one.exists()).count();
    fs::create_dir_all(directory)?;
    let parents = directory.ancestors().skip(1).take(missing);
    parents.into_iter().try_for_each(|parent| File::open(parent)?.sync_all())
}

/// Returns whether two names refer to the same file.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Record {
    fn to_json(&self, attachment: &Attachment) -> Value {
        let addresses: Vec<_> = self.addresses.iter().map(IpNet::to_string).collect();
        json!({
            "containerID": attachment.container,
            "ifname": attachment.ifname,
            "addresses": addresses,
        })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(text).ok()?;
        let addresses = document["addresses"].as_array()?.iter();
        let addresses = addresses.map(|address| address.as_str()?.parse().ok());
        Some(Self { addresses: addresses.collect::<Option<_>>()? })
    }
}

/// Returns the attachment that a record's text names. `None` if the text is not a record.
fn attachment_of(network: &str, text: &[u8]) -> Option<Attachment> {
    let document: Value = serde_json::from_slice(text).ok()?;
    let text = |name: &str| document[name].as_str().map(str::to_owned);
    Some(Attachment {
        network: network.to_owned(),
        container: text("containerID")?,
        ifname: text("ifname")?,
    })
}
