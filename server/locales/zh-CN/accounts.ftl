# Accounts, sign-in, teams, keys, tokens, activity.
