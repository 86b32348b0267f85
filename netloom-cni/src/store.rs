//! The records of attachments on disk, readable even if a write was interrupted.
//!
//! A network has a directory. An attachment is a file there with several names (hard links): its
//! own name, and each address that it reserves. The file is written and synced before it gets any
//! name, and the directory is synced before ADD succeeds. An address belongs to the attachment
//! whose file has the address as a name. So DEL never releases an address that another attachment
//! has taken.
//!
//! | name | content |
//! |---|---|
//! | `CONTAINER@INTERFACE` | an attachment |
//! | `10.88.0.2` | an assigned address: the attachment's file, or a file of `host-local` |
//! | `last.0` | the address last assigned from the first set, as the target of a symbolic link |
//! | `lock` | the lock (flock) of every change |
//! | `new` | the record of an ADD in progress. After a kill, the next command gives it its name |

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::attachment::Attachment;
use crate::failure::Failure;
use crate::files::{is_missing, is_same, is_there, lock_in_time, make, open_regular, read, remove};

/// A network's directory. It stays locked until this value is dropped.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    network: String,
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
        let lock = || -> io::Result<File> {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let lock = open_regular(&mut options, &path)?;
            lock_in_time(&lock)?;
            Ok(lock)
        };
        match lock() {
            Ok(lock) => {
                let (directory, network) = (directory.to_owned(), network.to_owned());
                let store = Self { directory, network, _lock: lock };
                let finished = store.finish();
                finished.map_err(|error| Failure::file("name", &store.path("new"), &error))?;
                Ok(Some(store))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file("lock", &path, &error)),
        }
    }

    /// Names the record that a killed ADD left as `new`. The cable of that ADD may exist, so DEL
    /// and GC must find the attachment.
    fn finish(&self) -> io::Result<()> {
        let new = self.path("new");
        let text = match read(&new) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // Not a record: a symbolic link of a killed ADD, or a file of another program.
            Err(_) if fs::symlink_metadata(&new).is_ok_and(|new| !new.is_file()) => Vec::new(),
            text => text?,
        };
        if let Some(attachment) = attachment_of(&self.network, &text) {
            match fs::hard_link(&new, self.path(&attachment.file_name())) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        match remove(&new) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => fs::remove_dir(&new),
            done => done,
        }
    }

    /// Returns whether there is a record of an attachment, readable or not.
    pub(crate) fn remembers(&self, attachment: &Attachment) -> Result<bool, Failure> {
        is_there(&self.path(&attachment.file_name()))
    }

    /// Reads the record of an attachment. `None` for a missing record and for an unreadable one.
    pub(crate) fn record(&self, attachment: &Attachment) -> Option<Record> {
        Record::parse(&read(&self.path(&attachment.file_name())).ok()?)
    }

    pub(crate) fn is_free(&self, address: IpAddr) -> Result<bool, Failure> {
        Ok(!is_there(&self.path(&address.to_string()))?)
    }

    /// Names the container that has an address, if its file says so. `host-local` writes the id
    /// and, on a line of its own, the interface.
    pub(crate) fn holder(&self, address: IpAddr) -> Option<String> {
        let text = read(&self.path(&address.to_string())).ok()?;
        if let Some(attachment) = attachment_of(&self.network, &text) {
            return Some(attachment.to_string());
        }
        let text = String::from_utf8(text).ok()?;
        let mut lines = text.lines().map(str::trim);
        let (container, ifname) = (lines.next()?, lines.next().unwrap_or("eth0"));
        let attachment = Attachment::of(&self.network, container, ifname);
        attachment.map(|attachment| attachment.to_string())
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
    pub(crate) fn attachments(&self) -> Result<Vec<Attachment>, Failure> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| Attachment::of_file(&self.network, name)).collect())
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
        Failure::join(self.forget_all([attachment]))
    }

    /// Deletes the records of attachments, and syncs once. Continues after failures.
    pub(crate) fn forget_all<'a>(
        &self,
        attachments: impl IntoIterator<Item = &'a Attachment>,
    ) -> Vec<Failure> {
        let mut failures = Vec::new();
        let mut is_changed = false;
        for attachment in attachments {
            let own = self.path(&attachment.file_name());
            match self.unlink(attachment, &own) {
                Ok(is_gone) => is_changed |= is_gone,
                Err(error) => failures.push(Failure::file("delete", &own, &error)),
            }
        }
        if is_changed && let Err(error) = self.sync() {
            failures.push(Failure::file("sync", &self.directory, &error));
        }
        failures
    }

    /// Deletes all names of a record. Returns whether there was one.
    fn unlink(&self, attachment: &Attachment, own: &Path) -> io::Result<bool> {
        let links = match fs::symlink_metadata(own) {
            Ok(file) => file.nlink(),
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        let addresses = self.record(attachment).unwrap_or_default().addresses;
        let mut known = 1;
        for address in addresses {
            let path = self.path(&address.addr().to_string());
            if is_same(own, &path) {
                remove(&path)?;
                known += 1;
            }
        }
        // An unreadable or damaged record may have more names than it lists: deletes them all.
        if links > known {
            for name in self.names().unwrap_or_default() {
                let path = self.path(&name);
                if path != own && is_same(own, &path) {
                    remove(&path)?;
                }
            }
        }
        // The attachment's own name is removed last: while the record exists, DEL can be repeated.
        remove(own)?;
        Ok(true)
    }

    /// Releases addresses whose attachment has no name. After a power cut, one name may be on disk
    /// without the other. Addresses of `host-local` are left alone.
    pub(crate) fn forget_nameless(&self) -> Result<(), Failure> {
        for name in self.names()? {
            if name.parse::<IpAddr>().is_err() {
                continue;
            }
            let path = self.path(&name);
            let text = read(&path).unwrap_or_default();
            let Some(attachment) = attachment_of(&self.network, &text) else { continue };
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

/// Finds the attachment with a tag among the records of all networks in these directories.
pub(crate) fn holder_of_tag<'d>(
    directories: impl Iterator<Item = &'d Path>,
    tag: &str,
) -> Option<Attachment> {
    let names = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    };
    let of_network = |network: String, data: &Path| {
        let mut all = names(&data.join(&network));
        all.find_map(|name| {
            Attachment::of_file(&network, &name).filter(|attachment| attachment.tag() == tag)
        })
    };
    let is_its = |network: &String| tag.starts_with(&Attachment::tag_prefix(network));
    let mut found = directories.flat_map(|data| {
        names(data)
            .filter(is_its)
            .filter_map(|network| of_network(network, data))
            .collect::<Vec<_>>()
    });
    found.next()
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
    let text = |name: &str| document[name].as_str();
    Attachment::of(network, text("containerID")?, text("ifname")?)
}
