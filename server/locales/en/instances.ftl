## Refusals
error-email-unverified = Confirm your e-mail address first: open the link in the mail that we sent you.
error-tenant-suspended = This account is suspended. Your instances keep their data; contact us to go on.
error-plan-trial-only = This plan is only given as a free trial. Choose one that is sold.
error-account-overdue = A payment on this account is overdue, so nothing can be added or enlarged. Pay the amount due under Billing first.
error-account-disputed = A payment on this account is disputed, so it is closed for orders. Withdraw the dispute at your bank, or contact us.
error-may-not-buy = This account is not open for paid plans yet. Start a free trial, or add money under Billing: the first payment opens the account. Credits, and vouchers that do not open accounts, can be spent after that.
error-orders-elsewhere = Your servers are sold by { $seller }. Order and change them there.
error-funds-missing =
    { $missing } is missing. Your servers with this order cost { $needed } for the first { $period ->
        [hour] hour
        [month] month
       *[day] day
    }, and { $available } of your balance is not used yet. Add { $missing } under Billing, then order again.
error-credit-exhausted =
    This order exceeds the account's credit limit of { $credit } by { $missing }: your servers with it cost { $needed } for the first { $period ->
        [hour] hour
        [month] month
       *[day] day
    }, and the account stands at { $available }. Pay { $missing } under Billing, or ask us for a higher limit.
error-quota-instances = You have { $used } of at most { $quota } instances. Delete one you no longer need, or ask us for a higher quota.
error-quota-vcpus = Your instances have { $used } vCPUs, and your quota is { $quota }. This needs { $wanted } more. Choose a smaller plan, or ask us for a higher quota.
error-quota-memory = Your instances have { $used } of memory, and your quota is { $quota }. This needs { $wanted } more. Choose a smaller plan, or ask us for a higher quota.
error-quota-disk = Your instances have { $used } of disk, and your quota is { $quota }. This needs { $wanted } more. Choose a smaller plan, or ask us for a higher quota.
error-no-host = No host can take a new instance at the moment. We have been told; try again later.
error-no-capable-host = No host offers everything that this plan promises at the moment. Choose another plan, or try again later.
error-no-capable-host-here = The host of this instance does not offer everything that the plan promises. Choose another plan.
error-no-address-free = All public addresses are taken at the moment. We have been told; try again later.
error-short-cpu = This plan needs { $needed } guaranteed, and no host has that free at the moment. Choose a smaller plan, or try again later.
error-short-vcpus = This plan needs { $needed }, and no host has that many free at the moment. Choose a smaller plan, or try again later.
error-short-dedicated-cores = This plan needs { $needed } on cores of its own, and no host has that many free at the moment. Choose a smaller plan, or try again later.
error-short-memory = This plan needs { $needed } of guaranteed memory, and no host has that free at the moment. Choose a smaller plan, or try again later.
error-short-memory-size = This plan needs { $needed } of memory, and no host has that free at the moment. Choose a smaller plan, or try again later.
error-short-disk = This plan needs { $needed } of disk, and no host has that free at the moment. Choose a smaller plan, or try again later.
error-short-disk-iops = This plan needs { $needed } of the disk guaranteed, and no host has that free at the moment. Choose a smaller plan, or try again later.
error-short-network = This plan needs { $needed } of guaranteed bandwidth, and no host has that free at the moment. Choose a smaller plan, or try again later.
error-short-here = The host of this instance lacks { $needed } for this change. Nothing was changed. Choose a smaller plan, or try again later.
error-instance-provisioning = The instance is still being made. Wait until that is done.
error-instance-failed = The instance could not be made, so this is not possible. Try again to make it, or delete it.
error-instance-deleting = The instance is being deleted.
error-instance-crashed = The instance has crashed. Start it first.
error-instance-running = The instance is running already.
error-instance-stopped = The instance is stopped. Start it first.
error-instance-locked = We have stopped this instance. Contact us to go on.
error-undelete-too-late = It is too late to undo this: the data are being removed.
error-delete-protected = The instance is protected from being deleted. Lift the protection in its settings first.
error-retry-not-failed = Only an instance that could not be made can be tried again.
error-retry-too-early = The host is still clearing away what is left of the first attempt. Try again in a minute.
error-live-too-many = Too many pages of yours are open at the same time. Close some of them.

## Fields
invalid-name-taken = Another instance of yours has this name. Choose another one.
invalid-control-characters = This contains characters that cannot be printed. Remove them.
invalid-hostname = Enter a host name such as web-1 or web.example.com: letters, digits and hyphens, with no hyphen at the start or end of a part.
invalid-hostname-too-long = A host name can have at most { $max } characters, and { $label } between two dots.
invalid-ssh-key-unknown = One of these keys does not exist any more. Choose again.
invalid-ssh-keys-too-many = Choose at most { $max } keys.
invalid-user-data-too-long = User data can have at most { $max } bytes. Let a short script fetch the rest.
invalid-user-data-no-cloud-config = This starts with "{ $found }". Put #cloud-config on the first line, with nothing before it.
invalid-user-data-no-head = This starts with "{ $found }", which the server would ignore. Start a script with #!/bin/sh and YAML with #cloud-config. A MIME message and the other formats of cloud-init work too.
invalid-user-data-not-text = The decoded content isn't UTF-8 text. Save the file as UTF-8 and encode it again.
invalid-user-data-gzip = The gzip data is damaged or cut off. Compress the file again.
invalid-user-data-yaml = Line { $line }, column { $column } isn't valid YAML: { $problem }
invalid-image-needs-memory = This image needs at least { $needed } of memory. Choose a larger plan or another image.
invalid-image-needs-disk = This image needs a disk of at least { $needed }. Choose a larger plan or another image.
invalid-plan-has-no-trial = There is no free trial of this plan. Choose one that has a trial.
invalid-plan-is-current = The instance has this plan already.
invalid-plan-disk-too-small = The disk has { $disk } and cannot shrink to this plan's { $planned }. Choose a plan with at least { $disk } of disk, or create a new instance and move your data.
invalid-policy = This { $problem }.
invalid-disk-never-shrinks = A disk can grow and never shrink.
invalid-firewall-too-many = A firewall can have at most { $max } rules.
invalid-firewall-protocol = Choose TCP, UDP, ICMP or any.
invalid-firewall-nothing = Say which rules apply: send inbound or outbound, null to allow everything.
invalid-firewall-ports = Enter a port from 1 to 65535, or a range such as 8000-8100.
invalid-firewall-ports-not-here = Ports are for TCP and UDP only. Leave them empty.
invalid-firewall-peer = { $value } is no address or network. Write 203.0.113.7 or 203.0.113.0/24.
invalid-firewall-peers-too-many = A rule can have at most { $max } addresses. Use a network, or another rule.
invalid-confirm-name = This does not match. Type { $name }, or { $id }, the end of its ID.

## States, operations, steps, failures
instance-state-provisioning = Being made
instance-state-running = Running
instance-state-stopped = Stopped
instance-state-crashed = Crashed
instance-state-failed = Could not be made
instance-state-deleting = Deleted
instance-state-deleted = Removed
operation-create = Create
operation-start = Start
operation-shutdown = Shut down
operation-power_off = Power off
operation-reboot = Reboot
operation-rebuild = Rebuild
operation-resize = Change plan
operation-rename = Rename
operation-firewall = Change firewall
operation-delete = Delete
operation-undelete = Undo deletion
operation-purge = Remove data
operation-state-succeeded = Done
operation-state-failed = Failed
operation-state-cancelled = Replaced by a newer request
operation-trying-again = We are trying again.
step-queued = Waiting for the host
step-fetching_image = Fetching the image
step-creating_volume = Making the disk
step-configuring = Setting up
step-starting = Starting
step-booting = The system boots
step-stopping = Stopping
step-resizing = Changing the resources
step-deleting = Removing the data
failure-image_unavailable = The image could not be fetched. Choose another image, or try again later.
failure-image_invalid = The image is damaged and was not used. Choose another image; we have been told.
failure-storage_full = The host had no room on its disks. We have been told.
failure-host_memory = The host had too little free memory at that moment. We have been told.
failure-network_setup = The network of the instance could not be set up. We have been told.
failure-hypervisor_unavailable = The host's virtualisation does not answer. We have been told.
failure-hypervisor_refused = The host refused to run the instance like this. We have been told.
failure-guest_unresponsive = The system did not react. Power the instance off if it hangs.
failure-guest_did_not_boot = The system did not come up from this image. Choose another image; we have been told.
failure-disk_never_shrinks = The disk would have to shrink, and a disk never shrinks. Choose a plan with a larger disk.
failure-capability_absent = The host cannot do what the plan promises. We have been told.
failure-lease_expired = The host has lost touch with us and starts nothing until it is back.
failure-deadline = This took too long. We have been told, and the host goes on trying.
failure-guest_crashed = The system crashed while it started. Rebuild the instance, with another image if it happens again.
failure-unknown = Something went wrong on the host. We have been told.

## Resources
resource = Resource
resource-cpu = Processor
resource-memory = Memory
resource-disk = Disk operations
resource-disk-size = Disk
resource-network-in = Network in
resource-network-out = Network out
resource-guaranteed = Guaranteed
resource-most = At most
resource-shares = Shares
resource-in-force = In force now
resource-in-force-hint = What is in force was read back from the host.
resource-not-read = What is in force can be read back while the instance runs.
resource-nothing = —
resource-unlimited = No limit
resource-words-both = { $reserved } guaranteed, up to { $limit } when the host has room.
resource-words-all = { $reserved }, all of it guaranteed.
resource-words-most = Up to { $limit }, shared with others.
resource-words-least = { $reserved } guaranteed, more when the host has room.
resource-words-shared = Shared with others, without a limit.
resource-words-waited = Waited for the host { $part } of its busy time.
resource-words-held-back = Held back by its own limit { $part } of its busy time.
resource-words-used = { $used } in use.
resource-words-lent = { $lent } lie idle and are lent to others for now.
shares-low = Low
shares-normal = Normal
shares-high = High
field-cpu = guaranteed and maximum processor time
field-memory = guaranteed memory
field-disk = disk speed
field-network-in = incoming bandwidth
field-network-out = outgoing bandwidth
field-vcpus = number of processors
field-memory-size = memory size
field-disk-size = disk size
list-separator = {", "}

## Dashboard and list
dashboard-title = Overview
dashboard-costs = What this month costs
dashboard-unverified = Confirm your e-mail address before you create an instance.
dashboard-resend = Send the mail again
dashboard-empty = You have no instance yet
dashboard-empty-text = An instance is a server of your own: choose how much is guaranteed to you, choose a system, and connect a minute later.
dashboard-empty-trial = Start with a free trial: a server of your own, a minute from now. No payment details needed.
step-add-key = Add an SSH key
step-add-key-text = It is how you sign in to your instance, without a password.
step-choose = Choose a plan and a system
step-choose-text = Each plan says what is guaranteed and what is possible.
step-connect = Connect
step-connect-text = The page of the instance shows the command.
instances-create = Create an instance
instances-all = All instances
instance-name = Name
instance-name-hint = For you to recognise it by. You can change it at any time.
instance-hostname = Host name
instance-hostname-hint = Name of the system itself, with or without a domain. Leave empty to derive it from the name.
instance-state = State
instance-address = Address
instance-plan = Plan
instance-cpu-hour = CPU, last hour
instance-cpu-hour-of = CPU of { $name } in the last hour
instance-image = System
operations-recent = Latest work
operations-title = Work on this instance
operations-none = Nothing yet.

## New
new-lede = Choose what is guaranteed to you. What neighbours do not use, you may use as well.
new-nothing = There is nothing to order yet
new-nothing-text = No plan or no image has been published. Come back soon.
new-no-keys = You have no SSH key yet. Without one you cannot sign in to most systems.
new-means = What your choice means
new-means-text = Choose a plan to see what you get.
new-call = The same as an API call
new-call-text = Put a token with the right to write into JST_TOKEN.
user-data = User data
user-data-hint = Runs at the first start: #cloud-config or a script that starts with #!. Base64 and gzip are decoded. At most 16 KiB.
plan-free = Free
plan-price = { $price } a month
plan-price-hourly = or { $price } an hour
plan-free-trial = Free trial
plan-disk = { $size } disk
plan-closed = Not open for orders on this account yet

## One instance
instance-tabs = Parts of this instance
tab-overview = Overview
tab-console = Console
tab-networking = Network
tab-settings = Settings
tab-history = History
instance-start = Start
instance-reboot = Reboot
instance-shutdown = Shut down
instance-power-off = Power off at once
instance-retry = Try again
instance-undelete = Undo the deletion
instance-resources = Resources
instance-resize = Change plan
instance-rebuild = Rebuild
instance-delete = Delete instance
instance-delete-now = Delete at once
instance-access = Access
instance-no-address = The instance has no address.
instance-created = Created
instance-id = Id
instance-policy = What you bought and what is in force
instance-restart-required = Not applied yet: { $fields }. Shut the instance down and start it again; a reboot is not enough.
instance-charged = You moved to { $plan }, but it is not fully applied yet. Until it is, you are charged for { $charged }, and the larger resources stay reserved for you. If this takes longer than a few minutes, shut the instance down and start it again; a reboot is not enough.
instance-drift = Not as bought at the moment: { $fields }. We have been told and are working on it.
instance-network-not-seen = Not seen on the network since it started.
instance-network-not-seen-what-now = The server is running but hasn't used any of its addresses. Check its network settings and user data in the console, or rebuild it.
instance-could-not-be-made = The instance could not be made.
instance-failed-what-now = Nothing is charged. Try again, or delete it.
instance-removed-on = The instance is stopped and will be removed on
instance-undo-until = Until then you can undo this.
instance-being-removed = The data of this instance are being removed.
instance-addresses = Addresses
instance-addresses-hint = They are yours until the instance is removed, and are set up in the system at its first start.

## Network
firewall-inbound = What comes in
firewall-inbound-open = Let everything in
firewall-inbound-rules = Let in only what a rule below allows
firewall-outbound = What goes out
firewall-outbound-open = Let everything out
firewall-outbound-rules = Let out only what a rule below allows
firewall-protocol = Protocol
firewall-ports = Ports
firewall-peers = Addresses on the other side
firewall-any = Any
firewall-everybody = everybody
firewall-hint = Rows that stay empty are left out. Answers to connections that were let through always pass.
firewall-look = The rules were not saved. Look at the rows that are marked.
firewall-mail-closed = Outgoing mail (port 25) is closed during a free trial.
firewall-save = Save firewall

## Settings
settings-viewer = Your role lets you look at the settings. Ask an owner of the team if you want to change them.
settings-name = Name
settings-hostname-hint = The system takes a new host name with the next rebuild.
settings-rename = Save name
settings-resize-text = Move to a larger or a smaller plan. Most of it takes effect while the instance runs.
settings-rebuild-text = Start again from a fresh system. Name, plan and addresses stay; what is on the disk is lost.
settings-protection = Protection from deletion
settings-protected = The instance is protected: nobody can delete it until the protection is lifted.
settings-unprotected = Anybody who may work with instances can delete this one.
settings-protect = Protect from deletion
settings-unprotect = Lift the protection
settings-delete-text = The instance stops at once. For a while you can undo it; then its data are removed.
rebuild-warning = Everything on the disk of this instance will be lost.
delete-loses = The instance stops, and its data and addresses are lost for good when the time below is over.
delete-grace = { $hours ->
    [one] You can undo this for { $hours } hour.
   *[other] You can undo this for { $hours } hours.
 }
delete-grace-used = This instance was deleted before, on { $first }, and the time to undo counts from then. You can undo this deletion for { $hours ->
    [0] less than an hour
    [one] { $hours } hour
   *[other] { $hours } hours
 }.
delete-grace-over = This instance was deleted before, on { $first }, and the time to undo counts from then: it is over. Everything is removed at once.
delete-undo-charged = If you undo the deletion, the time in between is charged.
delete-at-once = Delete at once
delete-no-way-back = Everything is removed now. There is no way back.
resize-to = New plan
resize-do = Change plan
resize-current = Your plan
resize-slider = Smaller or larger
resize-disk-too-small = The disk is larger than this plan's and cannot shrink, so you can't move to this plan.
resize-disk-grows = Disk of the plan: { $size }. Yours grows only if you choose so below.
resize-grow-disk = Grow the disk to the plan's size
resize-grow-disk-hint = This is final: a disk cannot shrink, and plans with a smaller disk are ruled out afterwards. Leave it off to keep your disk; you can grow it later.
resize-live = In force at once: { $fields }.
resize-after-restart = After you shut down and start: { $fields }. Until then the larger plan stays reserved, and the more expensive one is charged.
resize-stopped = The instance is stopped: everything is in force at its next start.
resize-means = What this changes
resize-means-text = Choose a plan to see what takes effect at once and what needs a restart.

## Messages
flash-instance-asked = We are on it.
flash-instance-renamed = The name was changed.
flash-instance-protected = The instance is protected from deletion.
flash-instance-unprotected = The protection was lifted.
flash-instance-rebuilding = The instance is being rebuilt.
flash-instance-resizing = The plan is being changed.
flash-instance-deleted = The instance was deleted. You can undo it here for a while.
flash-instance-deleted-now = { $value } is being removed.
flash-firewall-saved = The firewall was saved.

## Activity
activity-instance-created = { $actor } created the instance { $name } with the plan { $plan }
activity-instance-console-opened = { $actor } opened the console of { $name }
activity-instance-start-requested = { $actor } started { $name }
activity-instance-shutdown-requested = { $actor } shut { $name } down
activity-instance-power-off-requested = { $actor } powered { $name } off
activity-instance-reboot-requested = { $actor } rebooted { $name }
activity-instance-rebuild-requested = { $actor } rebuilt { $name }
activity-instance-resize-requested = { $actor } moved { $name } to the plan { $plan }
activity-instance-policy-changed = { $actor } changed the resources of { $name }
activity-instance-renamed = { $actor } renamed an instance to { $name }
activity-instance-firewall-changed = { $actor } changed the firewall of { $name }
activity-instance-protection-changed = { $actor } changed the protection of { $name }
activity-instance-delete-requested = { $actor } deleted { $name }
activity-instance-undeleted = { $actor } undid the deletion of { $name }
activity-instance-purge-requested = The time to undo the deletion of { $name } is over
activity-instance-purged = { $name } and its data were removed
activity-instance-retried = { $actor } tried again to make { $name }
activity-instance-repaired = Limits of { $name } were changed on its host, and are in force again
activity-instance-create-failed = Creating { $name } failed. { $failure }
activity-instance-operation-failed = An operation on { $name } failed. { $failure }
activity-instance-crashed = { $name } crashed
activity-instance-network-not-seen = { $name } has not been seen on the network since it started
activity-instance-stopped-itself = { $name } shut itself down
activity-operation-deadline-passed = Work on { $name } takes too long
