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
landing-promise-live-text = Resize or change a rule: it takes effect on the running server. What needs a restart says so before you choose it.
landing-promise-network = Its own network
landing-promise-network-text = Every server stands alone: neighbours can neither read your traffic nor use your address.
landing-promise-honest = Told as it is
landing-promise-honest-text = A change counts as done when we have read it back from the host. Everything that happens is in your activity list.

plans-lede = What is solid is yours at any time. Up to the limit you may use what the host has left.
plans-none = No plan on offer at the moment
plans-none-text = Come back soon.

help-title = Help
help-lede = From nothing to a running server, and what the words here mean.
help-search = Search the help
help-search-submit = Search
help-found = Found: { $count }
help-found-none = No article has all of these words. Try fewer, or other ones.
help-topic-start = First steps
help-topic-limits = What is guaranteed, and what you get
help-topic-network = Network
help-topic-virtualization = How it works
help-topic-trial = The free trial
help-topic-billing = Billing
help-topic-rules = Terms and privacy
help-articles = More articles
help-parts = On this page
help-api-text = Everything that you do here, programs can do with an API token.
