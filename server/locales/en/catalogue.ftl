invalid-host-name = Use letters, digits, hyphens and dots, as in a machine's name: at most 63 characters.
