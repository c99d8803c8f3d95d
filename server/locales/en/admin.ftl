# The administration.
# Words of many pages
admin-name = Name
admin-state = State
admin-actions = Actions
admin-edit = Edit
admin-save = Save changes
admin-retire = Retire
admin-restore = Offer again
admin-all = All
admin-search = Name or mail address
admin-filter = Search
admin-nothing-found = Nothing fits this search.
admin-created = Created
admin-expires = Expires
admin-started = Started
admin-finished = Finished
admin-deadline = Deadline
admin-when = When
admin-why = Why
admin-by = By
admin-details = Details
admin-platform = the platform
admin-never = never
admin-unknown = unknown
admin-id = Identifier
admin-email = Mail address
admin-customer = Customer
admin-host = Host
admin-plan = Plan
admin-image = Image
admin-instance = Instance
admin-operation = Operation
admin-addresses = Addresses
admin-last-seen = Last seen
admin-days = days
admin-hours = hours
admin-of = { $part } of { $whole }
admin-version = Version { $version }
admin-form-errors = Some fields need your attention. Nothing was saved.
admin-slug = Short name
admin-slug-hint = For addresses and the API: lower-case letters, digits and hyphens.
admin-sort-order = Position
admin-sort-order-hint = Lower numbers stand first.
admin-drift = Differs from what is wanted
admin-restart-required = Restart required
admin-locked = Locked by the platform

# Overview
admin-stat-operations = Open operations
admin-stat-failed = { $count } failed in 24 hours
admin-stat-trials = Running trials
admin-stat-refused = { $count } refused in 24 hours
admin-stat-mails = Mails waiting
admin-stat-ready = { $count } take new instances
admin-first-steps = First steps
admin-step-host = Enrol a host that instances can run on
admin-step-pool = Add a pool of addresses for instances
admin-step-image = Register an image that instances start from
admin-step-plan = Create a plan that customers can choose
admin-concerns = Needs attention
admin-concern-danger = DANGER: customers’ webhooks can reach private networks (JST_DANGER_CUSTOMER_WEBHOOK_ALLOW). Use this setting in tests only.
admin-concerns-none = Everything is as it should be
admin-failed-lately = Failed lately
admin-instances-by-state = Instances by state
admin-concern-offline = { $count ->
    [one] One host does not answer
   *[other] { $count } hosts do not answer
}
admin-concern-unqualified = { $count ->
    [one] One host could not run a test guest
   *[other] { $count } hosts could not run a test guest
}
admin-concern-late = { $count ->
    [one] One operation is past its deadline
   *[other] { $count } operations are past their deadline
}
admin-concern-failed = { $count ->
    [one] One operation failed in the last 24 hours
   *[other] { $count } operations failed in the last 24 hours
}
admin-concern-drift = { $count ->
    [one] One instance differs from what is wanted or waits for a restart
   *[other] { $count } instances differ from what is wanted or wait for a restart
}
admin-concern-mail = { $count ->
    [one] One mail was given up
   *[other] { $count } mails were given up
}

# Hosts
admin-hosts-lede = The machines that instances run on: what they have, what is promised, and what is in use.
admin-hosts-empty = No host has joined yet
admin-hosts-empty-text = A host is a Linux machine with KVM. Create a join token, and run one command on the machine.
admin-host-enrol = Enrol a host
admin-host-enrol-lede = A join token is good once, for 15 minutes.
admin-host-enrol-run = Run this on { $name }
admin-host-enrol-once = The token in this command is shown only now. Who has it can join as this host, once.
admin-host-enrol-until = Good until
admin-host-enrol-done = I have run it
admin-host-name = Name of the host
admin-host-name-hint = The name of an existing host replaces that host's identity.
admin-host-nat = Instances share the host's own address
admin-host-nat-hint = For machines without routed addresses: instances reach the world, and the world does not reach them.
admin-host-token-create = Create join token
admin-host-offline = Not answering
admin-host-active = Takes instances
admin-host-draining = Draining
admin-host-disabled = Disabled
admin-host-activate = Take new instances
admin-host-drain = Take no new instances
admin-host-disable = Disable
admin-host-guests-share = Division among instances
admin-host-guaranteed = { $part } of { $whole } are guaranteed to instances.
admin-host-booked = The whole machine
admin-host-bar = { $booked } guaranteed, { $used } in use now.
admin-host-in-use = { $used } are in use, { $borrowed } of it beyond guarantees.
admin-host-idle = { $idle } are idle.
admin-host-waits = waits { $amount }
admin-host-held-back = held back { $amount }
admin-host-lends = lends { $amount }
admin-host-drops-in = inbound limit drops { $amount }
admin-host-drops-out = outbound limit drops { $amount }
admin-host-network = Network, in / out
admin-host-bar-unknown = The rate is not known. Set it under the settings of the host.
admin-host-bar-booked = { $booked } guaranteed.
admin-host-memory-lent = { $amount } of idle guests are lent to others.
admin-host-memory-merged = Merged pages save { $amount }.
admin-host-memory-low = Memory is short: idle guests lend more of theirs.
admin-host-memory-critical = Memory is very short: guests lend theirs in haste, down to what is guaranteed.
admin-host-memory-missing = { $amount } are missing even with every guest at its guarantee: stop or move guests, or add memory.
admin-host-no-instances = No instance is on this host.
admin-host-sold = What can still be booked
admin-resource = Resource
admin-booked = Booked
admin-ceiling = At most
admin-free = Free
admin-resource-cpu-reservation = CPU, guaranteed
admin-resource-vcpus = vCPUs sold
admin-resource-dedicated-cores = Dedicated cores
admin-resource-memory-reservation = Memory, guaranteed with overhead
admin-resource-memory-size = Memory sold
admin-resource-disk = Disk sold
admin-resource-disk-reservation = Operations of the disk, guaranteed
admin-resource-network-inbound = Inbound, guaranteed
admin-resource-network-outbound = Outbound, guaranteed
admin-certificates = Certificates
admin-certificates-note = A host is who its certificate says. Revoking takes effect with the agent's next request; to come back, the host needs a new join token.
admin-certificate-valid = In force
admin-certificate-revoked = Revoked
admin-certificate-expired = Expired
admin-serial = Serial number
admin-revoke = Revoke
admin-revoke-all = Revoke all
admin-host-facts = The machine
admin-lease = Lease until
admin-revision = Acknowledged revision
admin-agent-version = Agent
admin-hypervisor = Hypervisor
admin-kernel = Kernel
admin-uplink = Uplink
admin-capabilities = What it can do
admin-capabilities-absent = What it cannot do, and why
admin-host-settings = Settings of this host
admin-overcommit-cpu = vCPUs sold for each core
admin-overcommit-cpu-hint = Guarantees are never overcommitted; this is about what may be used beyond them.
admin-overcommit-memory = Memory sold for each MiB
admin-overcommit-memory-hint = 1 sells what is there and no more. Above it, idle guests lend memory when the host runs short.
admin-overcommit-storage = Disk sold for each MiB
admin-system-memory = Memory kept for the host
admin-system-memory-hint = For the system and its page cache; no instance gets it.
admin-uplink-set = Speed of the uplink
admin-uplink-hint = Leave it empty to use what the agent measures. Without a speed no plan with guaranteed bandwidth fits.
admin-page-merging = Merge equal pages of memory when it gets short
admin-page-merging-hint = Saves memory, across customers too: an instance can then find out by the time of its writes what another has in memory. Switched on, it is for instances started from then on; switched off, everything is separated at once.
admin-memory-merged = Merged memory
admin-power-saving = Power
admin-power-saving-hint = Guarantees are always kept. Parked cores come back within seconds when instances get busy, and count in what can be booked.
admin-power-saving-off = As the machine is set up
admin-power-saving-governor = Cores run slower while there is little to do
admin-power-saving-park = And cores that are not needed are parked
admin-host-power = Power
admin-host-governor = Governor { $name }
admin-host-parked = { $count ->
    [one] 1 core parked
   *[other] { $count } cores parked
}
admin-qualification = Qualified
admin-qualification-kvm = KVM
admin-qualification-emulated = Emulated
admin-qualification-simulated = Simulated
admin-qualification-pending = Being tested
admin-qualification-failed = Test failed
admin-qualified-boot = A test guest booted in { $seconds } s.
flash-host-saved = The settings of { $value } are saved.
flash-host-active = { $value } takes new instances.
flash-host-draining = { $value } takes no new instances. Those it has stay.
flash-host-disabled = { $value } is disabled. Its agent is refused; running guests run on.
flash-certificates-revoked = Revoked certificates: { $value }.

# Placement
admin-placement-title = Where would it go?
admin-placement-lede = The host that a new instance of a plan would go to now, and the verdict on every other. Nothing is booked.
admin-placement-ask = Ask
admin-placement-none = No host can take this plan at the moment. The reasons stand below.
admin-verdict = Verdict
admin-verdict-chosen = Would be chosen
admin-verdict-eligible = Could take it
admin-verdict-rejected = Cannot take it
admin-score = Score
admin-score-headroom = headroom
admin-score-stranding = balance
admin-score-spread = spread
admin-reject-not-accepting = It takes no new instances.
admin-reject-lease = It has not reported in time.
admin-reject-qualification = Its test says: { $qualification }.
admin-reject-capability = It lacks { $capability }, which the plan needs.
admin-reject-short = needs { $needed }, { $free } free
admin-reject-addresses = It needs { $needed } IPv4 addresses; { $free } are free. Add an address pool.
admin-reject-tenant = It has { $count } instances of this customer already.

# Pools
admin-pools-lede = Public addresses that instances get. Each is booked for one instance until that is gone for good.
admin-pools-empty = No address pool yet
admin-pools-empty-text = Without a pool no instance can be created: each gets an address from one.
admin-pool-new = Add a pool
admin-pool-create = Create pool
admin-pool-delete = Delete pool
admin-pool-network = Network
admin-pool-network-hint = IPv4 or IPv6 in CIDR notation, routed to the hosts.
admin-pool-excluded = Addresses never given to instances
admin-pool-excluded-hint = One a line: gateways, routers. The first and last address of the network are never given anyway.
admin-pool-nameservers = Name servers
admin-pool-nameservers-hint = One a line, at most three. Changes reach instances made or rebuilt from now on.
admin-pool-host = Only for this host
admin-pool-host-hint = Choose a host when the network is routed to that one only.
admin-any-host = Any host
admin-pool-enable = New instances get addresses from this pool
admin-pool-enable-hint = Addresses that are booked stay booked either way.
admin-pool-enabled = In use
admin-pool-disabled = Not given out
admin-pool-used = Used
admin-pool-countless = countless
admin-pool-in-use = { $count ->
    [one] One address of this pool is in use. Its network stays as it is.
   *[other] { $count } addresses of this pool are in use. Its network stays as it is.
}
flash-pool-created = The pool { $value } is created.
flash-pool-saved = The pool { $value } is saved.
flash-pool-deleted = The pool is deleted.
flash-pool-in-use = Addresses of this pool are in use, so it cannot be deleted.

# Plans
admin-plans-lede = What customers can choose: how much is guaranteed, how much is possible, and what it costs.
admin-plans-empty = No plan yet
admin-plans-empty-text = A plan says what an instance is guaranteed of each resource, what it may have at most, and its price.
admin-plans-note = Figures read guaranteed / most.
admin-plan-new = New plan
admin-plan-new-lede = Guaranteed minimum, maximum and weight of every resource.
admin-plan-create = Create plan
admin-plan-save = Save as a new version
admin-plan-check = Check and preview
admin-plan-preview = What this promises
admin-plan-offer = Name and price
admin-plan-version-note = Instances keep the version they were moved to. A change here reaches new instances, and those that are moved to the plan again.
admin-plan-offered = Offered
admin-plan-hidden = Not public
admin-plan-retired = Retired
admin-plan-trial = Trial
admin-plan-public = Offered to everybody
admin-plan-public-hint = Otherwise only administrators can use it.
admin-plan-is-trial = Free trial
admin-plan-is-trial-hint = Given once to each verified person, for the days in the settings.
admin-plan-restart = Start again after a crash
admin-plan-restart-hint = Otherwise a crashed instance stays stopped.
admin-name-en = English name
admin-name-zh = Chinese name
admin-price-month = A month
admin-price-monthly = Price a month
admin-price-hourly = Price an hour
flash-plan-created = The plan { $value } is created.
flash-plan-saved = Saved. The plan is at version { $value }.
flash-plan-retired = The plan { $value } is retired. Instances that have it keep it.
flash-plan-restored = The plan { $value } is offered again.

# The policy
policy-cpu = CPU
policy-cpu-hint = A reservation is always there for the guest. Without a limit it may use all its vCPUs.
policy-memory = Memory
policy-memory-hint = Memory is never reclaimed below the reservation. A limit below the size is a cap on the host's side.
policy-disk = Disk
policy-disk-hint = Disks grow and never shrink.
policy-disk-read = Disk, reading
policy-disk-write = Disk, writing
policy-burst-hint = Empty means no limit. A peak may be held for its seconds after a quiet time.
policy-network = Network
policy-inbound = Network, inbound
policy-outbound = Network, outbound
policy-network-hint = The long-run average is never above the average, the rate is never above the peak, and a burst may pass at the peak. Empty means no limit.
policy-vcpus = vCPUs
policy-size = Size
policy-reservation = Guaranteed minimum
policy-limit = Limit
policy-shares = Shares
policy-shares-hint = low, normal, high or a number
policy-dedicated = Dedicated cores
policy-dedicated-hint = The minimum is then all vCPUs.
policy-average = Average
policy-peak = Peak
policy-burst = Burst
policy-peak-seconds = Peak lasts
policy-operations-average = Operations, average
policy-operations-peak = Operations, peak
policy-throughput-average = Throughput, average
policy-throughput-peak = Throughput, peak
policy-quota = Traffic in a month
policy-unlimited = no limit
policy-bar = { $reserved } guaranteed, at most { $limit } in the long run.
policy-bar-unlimited = { $reserved } guaranteed, no limit.

# Images
admin-images-lede = What instances start from. Each file is inspected before it gets here, and never changes.
admin-images-empty = No image yet
admin-images-empty-text = Register a cloud image, qcow2 or raw. Instances copy it to their own disk.
admin-image-new = Register an image
admin-image-new-lede = A cloud image with cloud-init. Files that lean on other files, or are not what they are said to be, are refused.
admin-image-format = Format
admin-image-format-hint = The format of the disk image. Files compressed with gzip, xz, bzip2 or zstd are unpacked first.
admin-image-file = File
admin-image-file-hint = At most { $max }. Large files take a while; leave this page open.
admin-image-disk = Disk
admin-image-login = Log in as
admin-image-login-hint = The user that SSH keys are put in place for.
admin-image-memory = Least memory
admin-image-os = System
admin-image-upload = Upload and register
admin-image-import = Take a file that is on the server
admin-image-import-hint = Put the file into the directory “import” of the server's data directory, and name it here.
admin-image-path = File in the import directory
admin-image-content = Content
admin-image-content-hint = The content of an image never changes. Register a new one, and retire this one.
admin-os-linux = Linux
admin-os-bsd = BSD
admin-os-windows = Windows
admin-os-other = Other
flash-image-registered = The image { $value } is registered.
flash-image-saved = The image { $value } is saved.
flash-image-retired = The image { $value } is retired. Instances made from it are not touched.
flash-image-restored = The image { $value } is offered again.

# Customers
admin-customers-lede = Teams, the people in them, and how much each may have.
admin-customers-empty = No customer here
admin-customer-suspended = Suspended
admin-customer-suspended-text = This customer is suspended: what they have stays, and they can change nothing.
admin-act-for = Work in this account
admin-customer-may-buy = May buy
admin-customer-trial-only = Trial only
admin-customer-no-instances = This customer has no instances.
admin-suspend = Suspend
admin-unsuspend = Lift the suspension
admin-owner = Owner
admin-members = Members
admin-role = Role
admin-role-owner = Owner
admin-role-operator = Operator
admin-role-viewer = Viewer
admin-user-verified = Verified
admin-user-unverified = Not verified
admin-user-disabled = Disabled
admin-user-second-factor = Second factor
admin-user-disable = Disable account
admin-user-enable = Enable account
admin-quotas = Quotas
admin-quotas-hint = A quota below what the customer has takes nothing away; it only refuses more.
admin-may-buy = May have more than a trial
admin-may-buy-hint = Until this is on, the customer can have one free trial.
flash-quotas-saved = The quotas of { $value } are saved.
flash-customer-suspended = The customer is suspended.
flash-customer-unsuspended = The suspension is lifted.
flash-user-disabled = The account is disabled and signed out everywhere.
flash-user-enabled = The account is enabled.

# Instances and operations
admin-instances-lede = The instances of all customers.
admin-instances-empty = No instance here
admin-search-instances = Name, customer, address or identifier
admin-attention-only = Only what differs or waits for a restart
admin-instance-policy = What it was promised
admin-instance-facts = Facts
admin-instance-override = Give it a policy of its own
admin-instance-override-hint = For this instance only, within its plan. What can change while the guest runs is in force at once; the rest is shown as restart required.
admin-instance-apply = Apply to this instance
admin-instance-provisioning = Being made
admin-instance-running = Running
admin-instance-stopped = Stopped
admin-instance-crashed = Crashed
admin-instance-failed = Failed
admin-instance-deleting = Being deleted
admin-instance-deleted = Deleted
admin-lock-trial-expired = The trial has ended
admin-lock-suspended = The customer is suspended
flash-policy-sent = The policy of { $value } is changed. The operation below shows when it is in force.
admin-operations-lede = What is being done to instances, what failed, and why.
admin-operations-empty = No operation here
admin-operations-empty-text = Operations appear when customers create, start, resize or delete instances.
admin-opstate-open = Open
admin-opstate-late = Late
admin-opstate-pending = Waiting
admin-opstate-running = Running
admin-opstate-succeeded = Succeeded
admin-opstate-failed = Failed
admin-opstate-cancelled = Cancelled
admin-operation-create = Create
admin-operation-start = Start
admin-operation-shutdown = Shut down
admin-operation-power-off = Power off
admin-operation-reboot = Restart
admin-operation-rebuild = Rebuild
admin-operation-resize = Resize
admin-operation-rename = Rename
admin-operation-firewall = Firewall
admin-operation-delete = Delete
admin-operation-undelete = Undo deletion
admin-operation-purge = Remove for good
admin-step-queued = Waiting for the host
admin-step-fetching-image = Fetching the image
admin-step-creating-volume = Making the disk
admin-step-configuring = Configuring
admin-step-starting = Starting
admin-step-booting = Booting
admin-step-stopping = Stopping
admin-step-resizing = Resizing
admin-step-deleting = Deleting
admin-step-unknown = At work
admin-failure-image-unavailable = The host could not fetch the image.
admin-failure-image-invalid = The image cannot be used.
admin-failure-storage-full = The host's storage is full.
admin-failure-host-memory = The host had too little memory at that moment.
admin-failure-network-setup = The network could not be set up.
admin-failure-hypervisor-unavailable = The hypervisor does not answer.
admin-failure-hypervisor-refused = The hypervisor refused.
admin-failure-guest-unresponsive = The guest did not answer in time.
admin-failure-guest-did-not-boot = Nothing was heard of the guest after its first start.
admin-failure-disk-never-shrinks = A disk would have to shrink.
admin-failure-capability-absent = The host lacks something that the plan needs.
admin-failure-lease-expired = The host had no lease.
admin-failure-deadline = It did not end before its deadline.
admin-failure-unknown = The host gave a reason that this release does not know.

# Trials
admin-trials-lede = Who tries the platform, until when, and who was refused.
admin-trials-empty = No trial yet
admin-trials-empty-text = Trials need a public plan that is marked as a trial.
admin-trial-running = Running
admin-trial-stopped = Ended
admin-trial-converted = Became a customer
admin-trial-deleted = Deleted
admin-refusals = Refused lately
admin-refusals-empty = Nobody was refused.
admin-trial-refused-trial-used = This person has had a trial.
admin-trial-refused-trial-network = Too many trials came from this network.
admin-trial-refused-trial-disposable = The mailbox is at a service that gives them away for minutes.
admin-trial-refused-trial-device = Somebody else had a trial with this browser.
admin-appeals = People who ask for another look
admin-appeal-grant = Let them try
admin-appeal-decline = Decline
admin-concern-appeals = { $count ->
    [one] { $count } request about a refused trial waits
   *[other] { $count } requests about refused trials wait
 }
flash-appeal-granted = They may start a trial now, and are told by mail.
flash-appeal-declined = Declined; they are told by mail.
admin-trial-refused-email-unverified = The mail address is not verified.

# Mail
admin-mail-to = Mail to { $recipient }
admin-mail-lede = Every mail that was written, whether it was sent or not.
admin-mail-empty = No mail here
admin-mail-empty-text = Mails appear when people sign up, reset a password or start a trial.
admin-mail-no-server = No mail server is configured, so emails stay here. Set JST_SMTP_URL, or read them on the server's machine: jst-server mails --to ADDRESS.
admin-mail-recipient = Recipient
admin-mail-subject = Subject
admin-mail-kind = Kind
admin-mail-retry = Send again
admin-mail-sent-at = Sent
admin-mail-next = Next attempt
admin-mail-error = Last error
admin-mail-secret = Links that open an account or a team are shown to the recipient only.
admin-mail-no-body = The text is not available: it was removed some days after sending, or written by an earlier release.
admin-attempts = Attempts
admin-mail-waiting = Waiting
admin-mail-sent = Sent
admin-mail-abandoned = Given up
flash-mail-retried = The mail waits to be sent again.

# Audit
admin-audit-lede = Who did what, to what, when, and what changed. Nothing here can be altered.
admin-audit-empty = No event here
admin-audit-actor = Who
admin-audit-action = Action
admin-audit-subject = Subject
admin-audit-changes = What changed

# Settings
admin-settings-lede = What you can decide while the platform runs. Changes take effect at once.
admin-settings-accounts = Accounts
setting-sign-up-open = Anybody may sign up
setting-sign-up-open-hint = Otherwise people join only by invitation.
setting-allow-emulated = Use hosts without KVM
setting-allow-emulated-hint = Guests are many times slower there. For trying things out, never for paying customers.
setting-trial-days = A trial runs for
setting-trial-days-hint = For trials that start from now on.
setting-trial-keep-days = An ended trial is kept for
setting-trial-keep-days-hint = In this time it can still become a paid instance.
setting-trials-per-ip-day = Trials from one network in 24 hours
setting-trials-per-ip-day-hint = One IPv4 address, or one IPv6 /64.
setting-trials-per-network-day = Trials from the network around it in 24 hours
setting-trials-per-network-day-hint = One IPv4 /24, or one IPv6 /48.
setting-trials-per-device = Trials with one browser
setting-trials-per-device-hint = Of different people, in 90 days.
setting-trial-outbound-mbit = How fast a trial may send
setting-trial-outbound-mbit-hint = 0: as its plan says.
setting-delete-grace-hours = A deletion can be undone for
setting-delete-grace-hours-hint = Disks are kept this long.
setting-image-max-gib = Largest image file
flash-settings-saved = The settings are saved.

# Announcements
nav-announcements = Announcements
admin-announcements-lede = What everybody is told: on the status page, and above every page while it is on.
admin-announcements-empty = Nothing was announced yet
admin-announcements-empty-text = Tell customers of planned work before it begins, and of failures while they last.
admin-announcement = Announcement
admin-announcement-new = New announcement
admin-announcement-create = Announce
admin-announcement-title = Title
admin-announcement-kind = Kind
admin-announcement-from = From
admin-announcement-to = To
admin-announcement-open = Until it is ended
admin-announcement-title-zh = Title in Chinese
admin-announcement-title-en = Title in English
admin-announcement-text-zh = Text in Chinese
admin-announcement-text-en = Text in English
admin-announcement-text-hint = Plain text. What happens, whom it concerns, and until when.
admin-announcement-utc = In UTC.
admin-announcement-to-hint = In UTC. Empty: until you end it.
admin-announcement-banner = Above every page
admin-announcement-banner-hint = Otherwise on the status page only.
admin-announcement-end = End it now
admin-announcement-delete = Delete
admin-announcement-planned = Planned
admin-announcement-on = On
admin-announcement-over = Over
flash-announcement-created = The announcement is made.
flash-announcement-saved = The announcement is saved.
flash-announcement-ended = The announcement is over.
flash-announcement-deleted = The announcement is deleted.

# Heat map
heat-title = Hosts now
heat-booked = Booked
heat-used = Used
heat-lent = Lent
heat-more = All hosts ({ $count } more)

# Operations: what an administrator does about them
admin-operation-retry = Try again
admin-operation-cancel = Take back
flash-operation-retried = The host is told again; the new operation is at the top of the list.
flash-operation-cancelled = The wish is taken back. The instance stays as it is.
error-operation-not-failed = Only what failed can be tried again.
error-operation-replaced = Something newer was asked for since. Try that again, if it failed.
error-operation-retry-create = The instance was never made. Work in the customer's account and use “Try again” on the instance's page, which finds a place for it.
error-operation-not-open = It has ended already.
error-operation-not-cancellable = Only starting, stopping and rebooting can be taken back. Change anything else again instead.

# Images from elsewhere
image-imports = Images on their way
image-import-from = Address
image-import-waiting = Waiting
image-import-running = Being fetched
image-import-succeeded = Registered
image-import-failed = Failed
image-import-remove = Remove
image-fetch = Fetch it from the web
image-fetch-do = Fetch
image-fetch-hint = The server fetches the file itself. That goes on while you do something else; the list of images says how far it is.
image-fetch-url-hint = A public address, http or https. Networks of your own need JST_IMPORT_ALLOW.
image-fetch-sha256 = SHA-256 of the file
image-fetch-sha256-hint = Of the file at this address, as published beside it. Any other file is refused. The catalogue shows the checksum of the unpacked image.
admin-image-uploading = Uploading
flash-image-import-started = The image { $value } is being fetched.
flash-image-import-removed = The import is removed.
error-image-imports-full = Ten images are being fetched already. Wait for one of them, or remove one.
invalid-url = Give a whole address, like https://example.com/path.
invalid-url-scheme = Only http and https are fetched.
invalid-url-credentials = The address must not carry a name and a password.
invalid-url-address = This is not a public address. Networks of your own need JST_IMPORT_ALLOW.
invalid-url-redirects = The address leads on and on. Give the last one.
invalid-sha256 = A SHA-256 is 64 hexadecimal digits.
image-import-unreachable = The address does not answer: { $detail }
image-import-status = The address answered with status { $detail }.
image-import-silent = Nothing came for { $detail } seconds.
image-import-slow = It took more than six hours.
image-import-digest = The file is not the one that you named: its SHA-256 is { $detail }.
image-import-attempts = It was given up after { $detail } attempts.
image-import-internal = Something went wrong on our side; the log says what.

# Failures that are set aside
nav-set-aside = Set aside
set-aside-lede = Reports that could not be stored and work that failed. Everything else goes on; each of these is retried after a growing pause and disappears when it succeeds.
set-aside-empty = Nothing is set aside
set-aside-empty-text = Failed reports and failed work appear here until a retry succeeds.
set-aside-work = Work
set-aside-about = Affects
set-aside-failures = Failures
set-aside-first = First failure
set-aside-last = Latest failure
set-aside-next = Next retry
set-aside-kind-report = Report about an instance
set-aside-kind-host-facts = Report about a host
set-aside-kind-repair = Repair reported by a host
set-aside-kind-deadline = Operation past its deadline
set-aside-kind-purge = Purge after the grace period
set-aside-kind-trial-reminder = Trial reminder
set-aside-kind-trial-end = End of a trial
set-aside-kind-trial-deletion = Deletion after a trial
set-aside-kind-service = Service of a billing system
set-aside-kind-account = Review of an account
set-aside-kind-suspension = Suspension or release of an instance
set-aside-kind-invoice = Invoice
set-aside-kind-payment-expiry = Expiry of a payment
set-aside-kind-webhook = Disabled webhook
set-aside-kind-unconfirmed = Removal of an unconfirmed account
set-aside-reason-refused = Refused by a rule of the platform
set-aside-reason-unreadable = Not readable
set-aside-reason-constraint = Refused by the database
set-aside-reason-busy = Locked by other work for too long
set-aside-reason-database = Database error
set-aside-reason-internal = Internal error
admin-concern-set-aside = { $count ->
    [one] One report or piece of work keeps failing
   *[other] { $count } reports or pieces of work keep failing
}
