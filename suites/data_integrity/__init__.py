"""The data integrity suite: the data is whole, the replica is a replica, the backup is a backup."""
