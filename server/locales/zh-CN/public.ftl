# 首页。

landing-title = 资源有保障的云服务器
landing-lede = 每个套餐都承诺处理器、内存、磁盘和网络的最低保障，谁也拿不走；宿主机有余量时，您还能用得更多。
landing-start-trial = 开始免费试用
landing-trial-note = 无需绑定支付方式，试用到期自动结束。
landing-plans = 套餐
landing-month = 每月
landing-plan-disk = { $size } 磁盘
landing-cpu = 处理器
landing-memory = 内存
landing-network = 网络
landing-bar = 最低保障 { $reserved }，上限 { $limit }
landing-bar-none = 上限 { $limit }，共享
landing-promises = 您可以放心的事
landing-promise-minimum = 说到做到的最低保障
landing-promise-minimum-text = 我们承诺的总量绝不超过宿主机的实际容量。为您保留的资源，无论邻居多忙，需要时都归您。
landing-promise-live = 运行中即可调整
landing-promise-live-text = 调整配置、修改规则，都在运行中的服务器上生效。需要重启的改动，会在您选择之前说明。
landing-promise-network = 独立的网络
landing-promise-network-text = 每台服务器彼此隔离：邻居看不到您的流量，也冒用不了您的地址。
landing-promise-honest = 如实相告
landing-promise-honest-text = 从宿主机读回确认之后，更改才算完成。发生的一切都记录在动态里。

plans-lede = 实心部分任何时候都归您；宿主机有余量时，最多可用到上限。
plans-none = 目前没有可选的套餐
plans-none-text = 请稍后再来看看。

help-title = 帮助
help-lede = 从零到一台运行中的服务器，以及这里各个词的含义。
help-search = 搜索帮助
help-search-submit = 搜索
help-found = 找到 { $count } 篇
help-found-none = 没有文章包含全部这些词。请减少词数，或换一些词。
help-topic-start = 入门
help-topic-limits = 保障与实际所得
help-topic-network = 网络
help-topic-virtualization = 工作原理
help-topic-trial = 免费试用
help-topic-billing = 计费
help-topic-rules = 条款与隐私
help-articles = 更多文章
help-parts = 本页内容
help-api-text = 页面上能做的事，程序用 API 令牌也都能做。
