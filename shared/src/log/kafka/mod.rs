//! Landing in the next commit.
