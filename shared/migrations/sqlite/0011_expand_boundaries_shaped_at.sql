-- Of which publication `shape` tells: a build that does not know it moves the boundary and leaves it behind.
ALTER TABLE boundaries ADD COLUMN shaped_at TEXT;
