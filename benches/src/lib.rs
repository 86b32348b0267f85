//! An empty library, because the package consists of benches.
