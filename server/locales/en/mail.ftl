# Mails: subjects and bodies.
# Stands in the place of a link in what administrators are shown.
mail-link-hidden = [link: only the recipient sees it]
mail-footer =
    Jinshitong VPS
    You get this mail because of your account. Do not answer to it; nobody reads this mailbox.

mail-verify-subject = Confirm your e-mail address
mail-verify-body =
    Welcome to Jinshitong VPS.

    Open this link to confirm that { $email } is yours:

    { $link }

    It works once, within 24 hours. If you did not sign up, do nothing: without your confirmation nobody can use the account.

mail-account-exists-subject = You already have an account
mail-account-exists-body =
    Somebody, perhaps you, wanted to sign up with { $email }. There is an account with this address already, and nothing was changed.

    Sign in here:

    { $link }

    If you forgot your password, choose a new one here:

    { $reset_link }

mail-reset-subject = Choose a new password
mail-reset-body =
    Open this link to choose a new password for { $email }:

    { $link }

    It works once, within an hour. If you did not ask for this, do nothing: your password stays as it is.

mail-password-changed-subject = Your password was changed
mail-password-changed-body =
    The password of { $email } was just changed.

    Other devices signed out: { $sessions }
    API tokens revoked: { $tokens }

    If this was not you, choose a new password at once:

    { $link }

mail-password-reset-subject = Your password was reset
mail-password-reset-body =
    A new password was chosen for { $email } with a link from our mail.

    Devices signed out: { $sessions }
    API tokens revoked: { $tokens }
    Open invitations withdrawn: { $invitations }
    Passkeys that you have to confirm again: { $passkeys }

    Sign in with the new password, and confirm your passkeys here:

    { $security_link }

    If somebody else had access before, also check your team members, your SSH keys, and the webhooks of your teams:

    { $webhooks }

    If you did not reset your password, choose a new one at once, and secure your mailbox:

    { $link }
mail-webhooks-none = You have no webhooks.

mail-change-email-subject = Confirm your new e-mail address
mail-change-email-body =
    Open this link to use { $email } for your account from now on:

    { $link }

    It works once, within 24 hours. If you did not ask for this, do nothing.

mail-email-changed-subject = The e-mail address of your account was changed
mail-email-changed-body =
    Your account now uses the address { $new_email } instead of { $email }.

    If this was not you, write to our support at once: whoever did this knew your password.

mail-second-factor-on-subject = Two-factor sign-in is on
mail-second-factor-on-body =
    From now on, signing in as { $email } needs your password and a code from your authenticator app.

    Keep your recovery codes in a safe place: each of them replaces one code.

    If this was not you, change your password at once:

    { $link }

mail-second-factor-off-subject = Two-factor sign-in is off
mail-second-factor-off-body =
    Signing in as { $email } now needs your password only.

    If this was not you, change your password at once:

    { $link }

mail-passkey-added-subject = A passkey was added to your account
mail-passkey-added-body =
    The passkey “{ $name }” can now sign in as { $email }, without a password.

    If this was not you, remove it and change your password at once:

    { $link }

mail-new-sign-in-subject = A new sign-in to your account
mail-new-sign-in-body =
    Somebody signed in as { $email } from { $ip } ({ $browser }), a network in which we have not seen you before.

    If this was you, do nothing. If not, end that session and change your password at once:

    { $link }

mail-operation-failed-subject = { $operation }: failed for { $name }
mail-operation-failed-body =
    What you asked for could not be done. Server: { $name }. Request: { $operation }.

    { $reason }

    { $link }

mail-appeal-granted-subject = You can start your free trial
mail-appeal-granted-body =
    We have looked at your request: you can start your free trial now.

    { $link }

mail-appeal-declined-subject = Your request about a free trial
mail-appeal-declined-body =
    We have looked at your request and cannot offer a free trial. You can choose a plan at any time:

    { $link }

# What a stranger can name, such as a team, stands neither in the subject nor at the beginning: nobody advertises with our mails.
mail-invitation-subject = You are invited to a team on Jinshitong VPS
mail-invitation-body =
    You are invited to work with a team's servers on Jinshitong VPS.

    Open this link to see the team and to accept, signed in as { $email }:

    { $link }

    It works within 7 days. The invitation was sent by { $inviter }. If you don't know the sender, ignore this email.

mail-trial-started-subject = Your free trial runs until { $expires }
mail-trial-started-body =
    Your trial instance { $name } is yours until { $expires }, free of charge.

    Look after it here:

    { $link }

mail-trial-ending-subject = Your trial ends on { $expires }
mail-trial-ending-body =
    Your trial instance { $name } will be stopped on { $expires }. Its data is kept for a few days after that.

    To keep it, choose a plan:

    { $link }

mail-trial-stopped-subject = Your trial has ended
mail-trial-stopped-body =
    Your trial instance { $name } was stopped. Its data is kept until { $expires }.

    To go on where you left off, choose a plan:

    { $link }

mail-trial-deleted-subject = Your trial instance was deleted
mail-trial-deleted-body =
    Your trial instance { $name } and its data were deleted.

    You can create a new instance at any time:

    { $link }

mail-invoice-issued-subject = Your invoice { $number }
mail-invoice-issued-body =
    Your invoice { $number } for { $month } is ready. Its total is { $total }.

    You find it here:

    { $link }

mail-low-balance-subject = Your balance is low
mail-low-balance-body =
    { $available } are left on your account, less what you have used already. When nothing is left, your servers are stopped within minutes.

    Add to your balance here:

    { $link }

mail-running-out-subject = Your balance lasts for less than { $days ->
        [1] a day
       *[other] { $days } days
    }
mail-running-out-body =
    { $available } are left on your account. At the current rate, that lasts for less than { $days ->
        [1] a day
       *[other] { $days } days
    }. When nothing is left, your servers are stopped within minutes.

    Add money here:

    { $link }

mail-payment-attention-subject = { $what }: { $provider }
mail-payment-attention-body =
    { $what } ({ $provider }, { $about }) { $amount }

    A disputed payment closes the account for orders until the dispute is won or you open the account again. Details:

    { $link }

mail-orders-closed-subject = Your account is closed for orders
mail-orders-closed-body =
    A payment of { $amount } was disputed at your bank, and its amount is no longer part of your balance. Nothing can be ordered until the dispute is withdrawn or decided. If you do not know of a dispute, contact us.

    { $link }

mail-payment-reminder-subject = A payment is overdue
mail-payment-reminder-body =
    Something on your account is overdue. It stands at { $available }. If it is not paid, your instances will be stopped, and deleted some weeks later.

    See what is open:

    { $link }

mail-account-suspended-subject = Your instances were stopped
mail-account-suspended-body =
    Your account stands at { $available }. Your servers were stopped, and nothing is charged while they are. Their data is kept for { $days } days from now; then they are deleted. Add { $missing } and they start again.

    { $link }

mail-account-released-subject = Your instances start again
mail-account-released-body =
    Thank you: your account is clear again. What ran before is started now.

    { $link }

mail-account-deleted-subject = Your instances were deleted
mail-account-deleted-body =
    Your account stands at { $available } and was not paid for a long time. Your instances were deleted. Contact us at once if you want them back.

    { $link }

mail-webhook-disabled-subject = The webhook { $name } was disabled
mail-webhook-disabled-body =
    We stopped sending messages to { $url }.

    { $reason }.

    Put right what is wrong, send a test, and enable the webhook again. What waited for it until then is sent when you do so.

    { $link }

mail-set-aside-subject = Something on the platform keeps failing: { $kind }
mail-set-aside-body =
    { $kind } has failed repeatedly and was set aside. Reason: { $reason }.

    Everything else goes on, and this is retried after a growing pause. What failed, and why:

    { $link }
