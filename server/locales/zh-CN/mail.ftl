# Mails: subjects and bodies.
