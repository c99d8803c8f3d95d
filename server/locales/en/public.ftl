# The landing page.

landing-title = Servers with a guaranteed share
landing-lede = Each plan promises a minimum of processor, memory, disk and network that nobody takes from you, and lends you more whenever the host has room.
landing-start-trial = Start the free trial
landing-trial-note = No card needed. The trial ends by itself.
landing-plans = Plans
landing-month = a month
landing-plan-disk = { $size } disk
landing-cpu = Processor
landing-memory = Memory
landing-network = Network
landing-bar = { $reserved } guaranteed, up to { $limit }
landing-bar-none = Up to { $limit }, shared
landing-promises = What you can rely on
landing-promise-minimum = A minimum that holds
landing-promise-minimum-text = We never promise more than a host has. What is reserved for you is yours whenever you need it, however busy your neighbours are.
landing-promise-live = Changes while it runs
landing-promise-live-text = Resize, add a key or change a rule: it takes effect on the running server. What needs a restart says so before you choose it.
landing-promise-network = Its own network
landing-promise-network-text = Every server stands alone: neighbours can neither read your traffic nor use your address.
landing-promise-honest = Told as it is
landing-promise-honest-text = A change counts as done when we have read it back from the host. Everything that happens is in your activity list.
