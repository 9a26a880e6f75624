"""What keeps a cloud beyond its process: a data directory that follows every change (`journal`), and snapshots of the
whole state in one file (`snapshot`). `state` says what the state is; `codec` writes it as JSON."""
