//! etcd's v3 messages and their JSON form, both ways.
