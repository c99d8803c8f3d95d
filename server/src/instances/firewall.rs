//! Rules of the firewall as people write them.
