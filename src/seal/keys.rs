//! Where the keys come from: a systemd credential or a key file; and their rotation.
//!
//! Owns: the key file, its form, and that nobody else can read it. Must not: overwrite a key file that it can't read:
//! with the keys go all secrets.
//!
//! The form: a line `contactd-keyring 1`, then a line per key, the active one first: id and key in hexadecimal. Empty
//! lines and lines that start with `#` don't count.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Key, KeyId, Keyring};

const FIRST_LINE: &str = "contactd-keyring 1";
/// What the systemd credential is called (`LoadCredential=contactd-key:…`).
const CREDENTIAL: &str = "contactd-key";
/// No keyring is longer; a device or a log by mistake would be.
const LONGEST: u64 = 1 << 20;

impl Keyring {
    /// A keyring with one new key, not yet stored.
    ///
    /// # Errors
    /// When the machine has no random bytes to give.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self { active: new_key()?, older: Vec::new() })
    }

    /// The keyring of this machine: the credential `contactd-key` in `credentials` (`$CREDENTIALS_DIRECTORY`, as
    /// systemd sets it), else the key file, which is created on first start.
    ///
    /// # Errors
    /// When it can't be read or created, is damaged, or the key file can be read by others.
    pub fn load(credentials: Option<&Path>, key_file: &Path) -> Result<Self, KeyError> {
        if let Some(credential) = credentials.map(|directory| directory.join(CREDENTIAL))
            && credential.exists()
        {
            // systemd looks after who can read it, and may do so by other means than the mode.
            return parse(&read(&credential, |_| Ok(()))?, &credential);
        }
        match Self::read(key_file) {
            Err(KeyError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Self::create(key_file),
            outcome => outcome,
        }
    }

    /// The keyring in that key file.
    ///
    /// # Errors
    /// As [`Keyring::load`].
    pub fn read(key_file: &Path) -> Result<Self, KeyError> {
        parse(&read(key_file, |file| private(file, key_file))?, key_file)
    }

    /// Creates the key file. Another daemon may do so at the same time: then theirs is taken.
    fn create(key_file: &Path) -> Result<Self, KeyError> {
        let ring = Self::generate()?;
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|_| KeyError::NoRandomness)?;
        let draft = beside(key_file, &format!(".{}.draft", KeyId(random)));
        let linked = write_new(&draft, &ring).and_then(|()| {
            // A link never replaces, and what it shows is complete: nobody ever reads half a keyring.
            fs::hard_link(&draft, key_file).map_err(|error| KeyError::io("create", key_file, error))
        });
        let _ = fs::remove_file(&draft);
        match linked {
            Ok(()) => sync_directory(key_file).map(|()| ring),
            Err(KeyError::Io { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(key_file),
            Err(error) => Err(error),
        }
    }

    /// Adds a new active key and writes the keyring to the key file; what was sealed under the older keys still opens.
    /// Whoever runs the daemon by a systemd credential gives another path, and puts the file in the credential's place.
    /// Keys that the key file has beyond ours are kept.
    ///
    /// # Errors
    /// When the key file can't be read or written, or another rotation is under way.
    pub fn rotate(&self, key_file: &Path) -> Result<Self, KeyError> {
        self.replace(key_file, |known| {
            let older = known.into_iter().collect();
            Ok(Self { active: new_key()?, older })
        })
    }

    /// Drops all keys but the active one from the key file. Only for when every envelope in the store has been
    /// resealed: whatever was sealed under the others can't be opened any more.
    ///
    /// # Errors
    /// As [`Keyring::rotate`], and when the key file has another active key than we.
    pub fn drop_older(&self, key_file: &Path) -> Result<Self, KeyError> {
        self.replace(key_file, |known| {
            if known.first().map(|key| key.id) != Some(self.active.id) {
                return Err(KeyError::Superseded { path: key_file.to_path_buf() });
            }
            Ok(Self { active: self.active.clone(), older: Vec::new() })
        })
    }

    /// Replaces the key file by what `change` makes of all known keys: the file's, the active one first, then ours.
    fn replace(
        &self,
        key_file: &Path,
        change: impl FnOnce(Vec<Key>) -> Result<Self, KeyError>,
    ) -> Result<Self, KeyError> {
        // The draft is the lock: it can be created once.
        let draft = beside(key_file, ".new");
        let lock = create_new(&draft)?;
        let replaced = (|| {
            let mut known: Vec<Key> = match Self::read(key_file) {
                Ok(stored) => stored.keys().cloned().collect(),
                Err(KeyError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            let ours = self.keys().filter(|key| !known.iter().any(|stored| stored.id == key.id));
            known.extend(ours.cloned().collect::<Vec<_>>());
            let ring = change(known)?;
            write(&lock, &draft, &ring)?;
            fs::rename(&draft, key_file).map_err(|error| KeyError::io("replace", key_file, error))?;
            sync_directory(key_file)?;
            Ok(ring)
        })();
        if replaced.is_err() {
            let _ = fs::remove_file(&draft);
        }
        replaced
    }
}

fn new_key() -> Result<Key, KeyError> {
    let mut id = [0; 4];
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut id).map_err(|_| KeyError::NoRandomness)?;
    getrandom::fill(&mut *bytes).map_err(|_| KeyError::NoRandomness)?;
    Ok(Key { id: KeyId(id), bytes })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Refuses a key file that others can read or change, by the open file: what is checked is what is read.
fn private(file: &File, path: &Path) -> Result<(), KeyError> {
    let metadata = file.metadata().map_err(|error| KeyError::io("read", path, error))?;
    if !metadata.is_file() {
        return Err(KeyError::Damaged { path: path.to_path_buf(), why: "it is no regular file" });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.to_path_buf(), mode, owner: metadata.uid() });
    }
    Ok(())
}

fn read(path: &Path, check: impl FnOnce(&File) -> Result<(), KeyError>) -> Result<Zeroizing<String>, KeyError> {
    let file = File::open(path).map_err(|error| KeyError::io("read", path, error))?;
    check(&file)?;
    // Of fixed capacity: a buffer that grew would leave copies of the keys behind.
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let damaged = |why| KeyError::Damaged { path: path.to_path_buf(), why };
    if size > LONGEST {
        return Err(damaged("it is too long"));
    }
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(size).unwrap_or(0) + 64));
    match file.take(LONGEST).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(damaged("it is not text")),
        Err(error) => Err(KeyError::io("read", path, error)),
    }
}

fn parse(text: &str, path: &Path) -> Result<Keyring, KeyError> {
    let damaged = |why| KeyError::Damaged { path: path.to_path_buf(), why };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.next() != Some(FIRST_LINE) {
        return Err(damaged("it does not start with 'contactd-keyring 1'"));
    }
    let mut keys: Vec<Key> = Vec::new();
    for line in lines {
        let (id, key) = line.split_once(' ').ok_or_else(|| damaged("a line is not an id and a key"))?;
        let mut bytes = Zeroizing::new([0; 32]);
        let mut number = [0; 4];
        unhex(id, &mut number).ok_or_else(|| damaged("an id is not 8 hexadecimal digits"))?;
        unhex(key, &mut *bytes).ok_or_else(|| damaged("a key is not 64 hexadecimal digits"))?;
        let id = KeyId(number);
        if keys.iter().any(|key| key.id == id) {
            return Err(damaged("two keys have the same id"));
        }
        keys.push(Key { id, bytes });
    }
    let mut keys = keys.into_iter();
    let active = keys.next().ok_or_else(|| damaged("it has no key"))?;
    Ok(Keyring { active, older: keys.collect() })
}

fn unhex(text: &str, into: &mut [u8]) -> Option<()> {
    let digits = text.as_bytes();
    if digits.len() != into.len() * 2 {
        return None;
    }
    for (byte, pair) in into.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(())
}

fn create_new(path: &Path) -> Result<File, KeyError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Busy { draft: path.to_path_buf() },
        _ => KeyError::io("create", path, error),
    })
}

fn write_new(path: &Path, ring: &Keyring) -> Result<(), KeyError> {
    write(&create_new(path)?, path, ring)
}

fn write(mut file: &File, path: &Path, ring: &Keyring) -> Result<(), KeyError> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Zeroizing::new(Vec::with_capacity(256 + 80 * (1 + ring.older.len())));
    text.extend(FIRST_LINE.bytes());
    text.extend(
        b"\n# The keys that seal contactd's passwords and tokens, the active one first. Keep a copy apart from",
    );
    text.extend(b"\n# the store's: who has both can read them, and who has lost this must sign in everywhere again.\n");
    for key in ring.keys() {
        text.extend(format!("{} ", key.id).bytes());
        for byte in key.bytes.iter() {
            text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        text.push(b'\n');
    }
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|error| KeyError::io("write", path, error))
}

/// Makes the name of a new file last, as well as the file.
fn sync_directory(of: &Path) -> Result<(), KeyError> {
    let directory = of.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|open| open.sync_all()).map_err(|error| KeyError::io("write", directory, error))
}

/// The keys can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The machine gave no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// The file system refused.
    #[error("can't {doing} the key file {}: {error}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What was said.
        error: io::Error,
    },
    /// Others than its owner can read or change the key file.
    #[error(
        "the key file {p} can be read or changed by others (mode {mode:04o}, owner {owner}); run `chmod 600 {p}`, \
         and rotate the key if others may have read it",
        p = path.display()
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The user id of its owner.
        owner: u32,
    },
    /// What stands in the file is no keyring. It is never overwritten.
    #[error(
        "{} is no key file: {why}; restore it from its backup, or move it away to start with a new key and sign in again",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong, without what stands there.
        why: &'static str,
    },
    /// Somebody else is replacing the key file.
    #[error("another rotation of the key is under way, or was cut short; if none is running, remove {}", draft.display())]
    Busy {
        /// The file that says so.
        draft: PathBuf,
    },
    /// The key file has been rotated since this keyring was loaded.
    #[error("the key file {} has another active key than this daemon; reload the configuration and try again", path.display())]
    Superseded {
        /// Which file.
        path: PathBuf,
    },
}

impl KeyError {
    fn io(doing: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { doing, path: path.to_path_buf(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SealError, Secret};
    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let key_file = directory.path().join("key");
        (directory, key_file)
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_first_start_creates_the_key_and_the_next_finds_it() {
        let (directory, key_file) = directory();
        let first = Keyring::load(None, &key_file).unwrap();
        assert_eq!(fs::metadata(&key_file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(directory.path()), ["key"]);
        let envelope = first.seal(&Secret::from("geheim"), b"a").unwrap();
        let next = Keyring::load(None, &key_file).unwrap();
        assert_eq!(next.open(&envelope, b"a").unwrap().expose(), "geheim");
    }

    #[test]
    fn daemons_that_start_at_once_agree_on_one_key() {
        let (directory, key_file) = directory();
        let loads: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Keyring::load(None, &key_file).unwrap().active())).collect();
            started.into_iter().map(|load| load.join().unwrap()).collect()
        });
        assert!(loads.windows(2).all(|pair| pair[0] == pair[1]), "{loads:?}");
        assert_eq!(names(directory.path()), ["key"]);
    }

    #[test]
    fn a_credential_is_taken_before_the_key_file() {
        let (directory, key_file) = directory();
        let credentials = directory.path().join("credentials");
        fs::create_dir(&credentials).unwrap();
        let from_file = Keyring::load(Some(&credentials), &key_file).unwrap();
        let credential = Keyring::load(None, &credentials.join(CREDENTIAL)).unwrap();
        // As systemd may leave it.
        fs::set_permissions(credentials.join(CREDENTIAL), fs::Permissions::from_mode(0o440)).unwrap();
        let taken = Keyring::load(Some(&credentials), &key_file).unwrap();
        assert_eq!(taken.active(), credential.active());
        assert_ne!(taken.active(), from_file.active());
    }

    #[test]
    fn a_key_file_that_others_can_reach_is_refused() {
        let (_directory, key_file) = directory();
        let ring = Keyring::load(None, &key_file).unwrap();
        let table = [
            (0o600, true),
            (0o400, true),
            (0o700, true),
            (0o640, false),
            (0o620, false),
            (0o604, false),
            (0o602, false),
            (0o644, false),
            (0o610, false),
            (0o777, false),
        ];
        for (mode, fine) in table {
            fs::set_permissions(&key_file, fs::Permissions::from_mode(mode)).unwrap();
            match Keyring::load(None, &key_file) {
                Ok(loaded) => assert!(fine && loaded.active() == ring.active(), "{mode:o}"),
                Err(error) => {
                    let said = error.to_string();
                    assert!(!fine && said.contains(&format!("chmod 600 {}", key_file.display())), "{mode:o}: {said}");
                    assert!(said.contains(&format!("{mode:04o}")), "{said}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_keyring_is_told_and_left_alone() {
        let key = "0".repeat(64);
        let table = [
            (String::new(), "does not start with"),
            ("contactd-keyring 2\n".to_owned(), "does not start with"),
            ("contactd-keyring 1\n".to_owned(), "has no key"),
            ("contactd-keyring 1\n0011223344\n".to_owned(), "not an id and a key"),
            (format!("contactd-keyring 1\n0011223 {key}\n"), "an id is not"),
            (format!("contactd-keyring 1\n0011223x {key}\n"), "an id is not"),
            (format!("contactd-keyring 1\n00112233 {key}0\n"), "a key is not"),
            (format!("contactd-keyring 1\n00112233 é{}\n", &key[2..]), "a key is not"),
            (format!("contactd-keyring 1\n00112233 {key}\n00112233 {key}\n"), "the same id"),
        ];
        for (content, part) in table {
            let (_directory, key_file) = directory();
            fs::write(&key_file, &content).unwrap();
            fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
            let said = Keyring::load(None, &key_file).unwrap_err().to_string();
            assert!(said.contains(part) && said.contains("restore it from its backup"), "{content:?}: {said}");
            assert!(Keyring::generate().unwrap().rotate(&key_file).is_err());
            assert_eq!(fs::read_to_string(&key_file).unwrap(), content);
        }
        let (directory, _) = directory();
        assert!(Keyring::load(None, directory.path()).is_err());
        let said = Keyring::load(None, &directory.path().join("none/key")).unwrap_err().to_string();
        assert!(said.contains("can't create the key file"), "{said}");
    }

    #[test]
    fn rotation_seals_anew_and_opens_what_was() {
        let (directory, key_file) = directory();
        let old = Keyring::load(None, &key_file).unwrap();
        let envelope = old.seal(&Secret::from("geheim"), b"a").unwrap();
        let rotated = old.rotate(&key_file).unwrap();
        assert_eq!(rotated.ids(), [rotated.active(), old.active()]);
        assert_eq!(Keyring::load(None, &key_file).unwrap().ids(), rotated.ids());
        assert_eq!(fs::metadata(&key_file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(directory.path()), ["key"]);

        let moved = rotated.reseal(&envelope, b"a").unwrap().unwrap();
        assert_eq!(old.open(&moved, b"a").unwrap_err(), SealError::NoKey { id: rotated.active() });
        let alone = rotated.drop_older(&key_file).unwrap();
        assert_eq!(Keyring::load(None, &key_file).unwrap().ids(), alone.ids());
        assert_eq!(alone.open(&moved, b"a").unwrap().expose(), "geheim");
        assert_eq!(alone.open(&envelope, b"a").unwrap_err(), SealError::NoKey { id: old.active() });
    }

    #[test]
    fn rotation_by_a_daemon_that_fell_behind_loses_no_key() {
        let (_directory, key_file) = directory();
        let old = Keyring::load(None, &key_file).unwrap();
        let second = old.rotate(&key_file).unwrap();
        let third = old.rotate(&key_file).unwrap();
        assert_eq!(third.ids(), [third.active(), second.active(), old.active()]);
        assert!(matches!(second.drop_older(&key_file), Err(KeyError::Superseded { .. })));
        assert_eq!(Keyring::read(&key_file).unwrap().ids(), third.ids());
    }

    #[test]
    fn one_rotation_at_a_time() {
        let (directory, key_file) = directory();
        let ring = Keyring::load(None, &key_file).unwrap();
        fs::write(directory.path().join("key.new"), "").unwrap();
        let said = ring.rotate(&key_file).unwrap_err().to_string();
        assert!(said.contains("another rotation") && said.contains("key.new"), "{said}");
        assert_eq!(Keyring::load(None, &key_file).unwrap().ids(), ring.ids());
    }

    #[test]
    fn rotation_of_a_credential_goes_to_another_file() {
        let (_directory, key_file) = directory();
        let ring = Keyring::generate().unwrap();
        let rotated = ring.rotate(&key_file).unwrap();
        assert_eq!(Keyring::read(&key_file).unwrap().ids(), [rotated.active(), ring.active()]);
    }
}
