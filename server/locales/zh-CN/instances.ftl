## 拒绝原因
error-email-unverified = 请先验证您的邮箱：打开我们发给您的邮件中的链接。
error-tenant-suspended = 该账户已被暂停。您的实例数据仍会保留；请联系我们恢复。
error-plan-trial-only = 该套餐仅供免费试用，请选择在售套餐。
error-account-overdue = 该账户有逾期款项，暂时不能新增或扩大资源。请先在“费用”中付清。
error-account-disputed = 该账户有一笔付款存在争议，已暂停订购。请向银行撤回争议，或联系我们。
error-may-not-buy = 该账户尚未开通付费套餐。您可以先开始免费试用，或在“费用”中充值：首次付款后即可订购。赠金和不开通订购的代金券在此之后才能使用。
error-orders-elsewhere = 您的实例由 { $seller } 销售，请在那里订购和变更。
error-funds-missing =
    还差 { $missing }。现有实例加上本次订购，首{ $period ->
        [hour] 小时
        [month] 月
       *[day] 日
    }费用为 { $needed }，余额中未使用的金额为 { $available }。请在“费用”中充值 { $missing } 后重新下单。
error-credit-exhausted =
    本次订购超出信用额度（{ $credit }）{ $missing }：现有实例加上本次订购，首{ $period ->
        [hour] 小时
        [month] 月
       *[day] 日
    }费用为 { $needed }，账户当前为 { $available }。请在“费用”中付款 { $missing }，或联系我们提高额度。
error-quota-instances = 您已有 { $used } 个实例，上限为 { $quota } 个。请删除不再需要的实例，或联系我们提高配额。
error-quota-vcpus = 您的实例共有 { $used } 个 vCPU，配额为 { $quota } 个，本次还需要 { $wanted } 个。请选择更小的套餐，或联系我们提高配额。
error-quota-memory = 您的实例共有 { $used } 内存，配额为 { $quota }，本次还需要 { $wanted }。请选择更小的套餐，或联系我们提高配额。
error-quota-disk = 您的实例共有 { $used } 磁盘，配额为 { $quota }，本次还需要 { $wanted }。请选择更小的套餐，或联系我们提高配额。
error-no-host = 目前没有宿主机可以接收新实例。我们已收到通知，请稍后再试。
error-no-capable-host = 目前没有宿主机能提供该套餐承诺的全部能力。请选择其他套餐，或稍后再试。
error-no-capable-host-here = 该实例所在的宿主机不能提供此套餐承诺的全部能力。请选择其他套餐。
error-no-address-free = 公网地址目前已全部分配。我们已收到通知，请稍后再试。
error-short-cpu = 该套餐需要 { $needed } 最低保障，目前没有宿主机有足够的余量。请选择更小的套餐，或稍后再试。
error-short-vcpus = 该套餐需要 { $needed }，目前没有宿主机有足够的余量。请选择更小的套餐，或稍后再试。
error-short-dedicated-cores = 该套餐需要 { $needed } 的独占核心，目前没有宿主机有足够的余量。请选择更小的套餐，或稍后再试。
error-short-memory = 该套餐需要 { $needed } 内存最低保障，目前没有宿主机有足够的余量。请选择更小的套餐，或稍后再试。
error-short-memory-size = 该套餐需要 { $needed } 内存，目前没有宿主机有足够的余量。请选择更小的套餐，或稍后再试。
error-short-disk = 该套餐需要 { $needed } 磁盘，目前没有宿主机有足够的余量。请选择更小的套餐，或稍后再试。
error-short-disk-iops = 该套餐需要磁盘 { $needed } 最低保障，目前没有宿主机有足够的余量。请选择更小的套餐，或稍后再试。
error-short-network = 该套餐需要 { $needed } 带宽最低保障，目前没有宿主机有足够的余量。请选择更小的套餐，或稍后再试。
error-short-here = 该实例所在的宿主机还缺 { $needed }，无法完成此变更，一切保持原样。请选择更小的套餐，或稍后再试。
error-instance-provisioning = 实例仍在创建中，请等待完成。
error-instance-failed = 实例创建失败，无法执行此操作。请重试创建，或删除该实例。
error-instance-deleting = 实例正在删除中。
error-instance-crashed = 实例已崩溃，请先启动。
error-instance-running = 实例已在运行。
error-instance-stopped = 实例已停止，请先启动。
error-instance-locked = 我们已停止该实例，请联系我们恢复。
error-undelete-too-late = 已无法撤销：数据正在清除。
error-delete-protected = 实例已开启删除保护。请先在设置中关闭保护。
error-retry-not-failed = 只有创建失败的实例才能重试。
error-retry-too-early = 宿主机仍在清理上一次的残留，请一分钟后再试。
error-live-too-many = 您同时打开的页面过多，请关闭一些。

## 字段
invalid-name-taken = 您已有同名实例，请换一个名称。
invalid-control-characters = 内容包含不可打印的字符，请删除。
invalid-hostname = 请输入主机名，例如 web-1 或 web.example.com：只能包含字母、数字和连字符，各部分不能以连字符开头或结尾。
invalid-hostname-too-long = 主机名最多 { $max } 个字符，两个点之间最多 { $label } 个。
invalid-ssh-key-unknown = 所选密钥中有一个已不存在，请重新选择。
invalid-ssh-keys-too-many = 最多选择 { $max } 个密钥。
invalid-user-data-too-long = 用户数据最多 { $max } 字节。可用一小段脚本下载其余内容。
invalid-user-data-no-cloud-config = 内容以“{ $found }”开头。请把 #cloud-config 写在第一行，前面不要有任何内容。
invalid-user-data-no-head = 内容以“{ $found }”开头，实例会忽略它。脚本请以 #!/bin/sh 开头，YAML 请以 #cloud-config 开头；也支持 MIME 多段消息和 cloud-init 的其他格式。
invalid-user-data-not-text = 解码后的内容不是 UTF-8 文本。请将文件保存为 UTF-8 后重新编码。
invalid-user-data-gzip = gzip 数据已损坏或不完整，请重新压缩。
invalid-user-data-yaml = 第 { $line } 行第 { $column } 列不是有效的 YAML：{ $problem }
invalid-image-needs-memory = 该镜像至少需要 { $needed } 内存。请选择更大的套餐或其他镜像。
invalid-image-needs-disk = 该镜像至少需要 { $needed } 磁盘。请选择更大的套餐或其他镜像。
invalid-plan-has-no-trial = 该套餐没有免费试用，请选择可试用的套餐。
invalid-plan-is-current = 实例已是该套餐。
invalid-plan-disk-too-small = 磁盘为 { $disk }，不能缩小到该套餐的 { $planned }。请选择磁盘不小于 { $disk } 的套餐，或新建实例并迁移数据。
invalid-policy = 该值不符合要求：{ $problem }。
invalid-disk-never-shrinks = 磁盘只能扩容，不能缩小。
invalid-firewall-too-many = 防火墙最多 { $max } 条规则。
invalid-firewall-protocol = 请选择 TCP、UDP、ICMP 或任意协议。
invalid-firewall-nothing = 请指明规则：提交 inbound 或 outbound，null 表示全部放行。
invalid-firewall-ports = 请输入 1 到 65535 的端口，或 8000-8100 这样的范围。
invalid-firewall-ports-not-here = 只有 TCP 和 UDP 可以填写端口，请留空。
invalid-firewall-peer = { $value } 不是地址或网段。请写成 203.0.113.7 或 203.0.113.0/24。
invalid-firewall-peers-too-many = 每条规则最多 { $max } 个地址。请使用网段，或另建一条规则。
invalid-confirm-name = 输入不符。请输入 { $name }，或实例 ID 的末尾 { $id }。

## 状态、操作、步骤、故障
instance-state-provisioning = 创建中
instance-state-running = 运行中
instance-state-stopped = 已停止
instance-state-crashed = 已崩溃
instance-state-failed = 创建失败
instance-state-deleting = 已删除
instance-state-deleted = 已清除
operation-create = 创建
operation-start = 启动
operation-shutdown = 关机
operation-power_off = 强制断电
operation-reboot = 重启
operation-rebuild = 重装
operation-resize = 变更套餐
operation-rename = 改名
operation-firewall = 修改防火墙
operation-delete = 删除
operation-undelete = 撤销删除
operation-purge = 清除数据
operation-state-succeeded = 完成
operation-state-failed = 失败
operation-state-cancelled = 已被新的请求取代
operation-trying-again = 我们正在重试。
step-queued = 等待宿主机
step-fetching_image = 获取镜像
step-creating_volume = 创建磁盘
step-configuring = 配置中
step-starting = 启动中
step-booting = 系统正在启动
step-stopping = 停止中
step-resizing = 调整资源
step-deleting = 清除数据
failure-image_unavailable = 无法获取镜像。请选择其他镜像，或稍后再试。
failure-image_invalid = 镜像已损坏，未予使用。请选择其他镜像；我们已收到通知。
failure-storage_full = 宿主机磁盘空间不足。我们已收到通知。
failure-host_memory = 宿主机当时内存不足。我们已收到通知。
failure-network_setup = 无法配置实例的网络。我们已收到通知。
failure-hypervisor_unavailable = 宿主机的虚拟化服务没有响应。我们已收到通知。
failure-hypervisor_refused = 宿主机拒绝以此方式运行实例。我们已收到通知。
failure-guest_unresponsive = 系统没有响应。如已卡死，请强制断电。
failure-guest_did_not_boot = 系统未能从该镜像启动。请选择其他镜像；我们已收到通知。
failure-disk_never_shrinks = 磁盘不能缩小。请选择磁盘更大的套餐。
failure-capability_absent = 宿主机无法提供套餐承诺的能力。我们已收到通知。
failure-lease_expired = 宿主机与我们失去联系，恢复之前不会启动任何实例。
failure-deadline = 任务耗时过长。我们已收到通知，宿主机仍在继续尝试。
failure-guest_crashed = 系统在启动时崩溃。请重装实例；若再次发生，请换一个镜像。
failure-unknown = 宿主机上出了问题。我们已收到通知。

## 资源
resource = 资源
resource-cpu = 处理器
resource-memory = 内存
resource-disk = 磁盘 IOPS
resource-disk-size = 磁盘
resource-network-in = 网络入站
resource-network-out = 网络出站
resource-guaranteed = 最低保障
resource-most = 上限
resource-shares = 权重
resource-in-force = 当前生效
resource-in-force-hint = “当前生效”是从宿主机上读回的实际值。
resource-not-read = 实例运行时才能读回当前生效的值。
resource-nothing = —
resource-unlimited = 不限
resource-words-both = 最低保障 { $reserved }，宿主机有余量时最高 { $limit }。
resource-words-all = { $reserved }，全部有保障。
resource-words-most = 最高 { $limit }，与他人共享。
resource-words-least = 最低保障 { $reserved }，宿主机有余量时可更多。
resource-words-shared = 与他人共享，不设上限。
resource-words-waited = 忙时有 { $part } 的时间在等待宿主机。
resource-words-held-back = 忙时有 { $part } 的时间受自身上限约束。
resource-words-used = 使用中 { $used }。
resource-words-lent = 闲置的 { $lent } 暂时借给其他实例。
shares-low = 低
shares-normal = 中
shares-high = 高
field-cpu = 处理器保障与上限
field-memory = 内存保障
field-disk = 磁盘速度
field-network-in = 入站带宽
field-network-out = 出站带宽
field-vcpus = 处理器数量
field-memory-size = 内存大小
field-disk-size = 磁盘大小
list-separator = 、

## 概览与列表
dashboard-title = 概览
dashboard-costs = 查看本月费用
dashboard-unverified = 创建实例之前，请先验证您的邮箱。
dashboard-resend = 重新发送邮件
dashboard-empty = 您还没有实例
dashboard-empty-text = 实例就是您自己的服务器：选择最低保障，选择系统，一分钟后即可连接。
dashboard-empty-trial = 从免费试用开始：一分钟后就有您自己的服务器，无需填写支付信息。
step-add-key = 添加 SSH 密钥
step-add-key-text = 用它登录实例，无需密码。
step-choose = 选择套餐和系统
step-choose-text = 每个套餐都写明最低保障和最高可用。
step-connect = 连接
step-connect-text = 实例页面会显示连接命令。
instances-create = 创建实例
instances-all = 全部实例
instance-name = 名称
instance-name-hint = 便于您识别，可随时修改。
instance-hostname = 主机名
instance-hostname-hint = 系统内的名称，可带域名。留空则由名称生成。
instance-state = 状态
instance-address = 地址
instance-plan = 套餐
instance-cpu-hour = CPU（近一小时）
instance-cpu-hour-of = { $name } 近一小时的 CPU
instance-image = 系统
operations-recent = 最近的任务
operations-title = 该实例的任务
operations-none = 暂无。

## 创建
new-lede = 选择您的最低保障。邻居不用的部分，您也可以用。
new-nothing = 暂无可订购的内容
new-nothing-text = 尚未发布套餐或镜像，请稍后再来。
new-no-keys = 您还没有 SSH 密钥。没有密钥将无法登录大多数系统。
new-means = 您的选择意味着什么
new-means-text = 选择套餐即可查看您将得到什么。
new-call = 用 API 完成同样的操作
new-call-text = 请将具有写权限的令牌放入 JST_TOKEN。
user-data = 用户数据
user-data-hint = 首次启动时执行：#cloud-config 或以 #! 开头的脚本，可用 base64 或 gzip 编码，最多 16 KiB。
plan-free = 免费
plan-price = 每月 { $price }
plan-price-hourly = 或每小时 { $price }
plan-free-trial = 免费试用
plan-disk = { $size } 磁盘
plan-closed = 该账户暂时不能订购

## 单个实例
instance-tabs = 实例的各个部分
tab-overview = 概览
tab-console = 控制台
tab-networking = 网络
tab-settings = 设置
tab-history = 历史
instance-start = 启动
instance-reboot = 重启
instance-shutdown = 关机
instance-power-off = 立即断电
instance-retry = 重试
instance-undelete = 撤销删除
instance-resources = 资源
instance-resize = 变更套餐
instance-rebuild = 重装
instance-delete = 删除实例
instance-delete-now = 立即删除
instance-access = 连接
instance-no-address = 该实例没有地址。
instance-created = 创建时间
instance-id = 编号
instance-policy = 您购买的与当前生效的
instance-restart-required = 尚未生效：{ $fields }。请关机后再启动，仅“重启”不会生效。
instance-charged = 您已变更为套餐 { $plan }，但尚未完全生效。生效之前按套餐 { $charged } 计费，较大的资源继续为您保留。如果几分钟后仍未生效，请关机后再启动，仅“重启”不会生效。
instance-drift = 目前与购买的不一致：{ $fields }。我们已收到通知，正在处理。
instance-network-not-seen = 启动后网络中一直没有检测到该实例。
instance-network-not-seen-what-now = 实例正在运行，但没有使用任何已分配的地址。请通过远程控制台检查网络配置和用户数据，或重装系统。
instance-could-not-be-made = 实例创建失败。
instance-failed-what-now = 不会收费。请重试，或删除该实例。
instance-removed-on = 实例已停止，数据清除时间：
instance-undo-until = 在此之前可以撤销。
instance-being-removed = 正在清除该实例的数据。
instance-addresses = 地址
instance-addresses-hint = 在实例清除之前，这些地址归您使用，系统首次启动时自动配置。

## 网络
firewall-inbound = 入站
firewall-inbound-open = 全部放行
firewall-inbound-rules = 只放行下列规则允许的流量
firewall-outbound = 出站
firewall-outbound-open = 全部放行
firewall-outbound-rules = 只放行下列规则允许的流量
firewall-protocol = 协议
firewall-ports = 端口
firewall-peers = 对端地址
firewall-any = 任意
firewall-everybody = 所有人
firewall-hint = 空行会被忽略。已放行连接的应答始终可以通过。
firewall-look = 规则没有保存，请检查标出的行。
firewall-mail-closed = 免费试用期间禁止外发邮件（25 端口）。
firewall-save = 保存防火墙

## 设置
settings-viewer = 您的角色只能查看设置。如需修改，请联系团队所有者。
settings-name = 名称
settings-hostname-hint = 新的主机名在下次重装时生效。
settings-rename = 保存名称
settings-resize-text = 换成更大或更小的套餐，大部分内容在运行中即可生效。
settings-rebuild-text = 以全新的系统重新开始。名称、套餐和地址不变，磁盘上的数据将丢失。
settings-protection = 删除保护
settings-protected = 实例已受保护：关闭保护之前，任何人都不能删除。
settings-unprotected = 任何有权操作实例的人都可以删除它。
settings-protect = 开启删除保护
settings-unprotect = 关闭保护
settings-delete-text = 实例会立即停止。一段时间内可以撤销，之后数据将被清除。
rebuild-warning = 该实例磁盘上的全部数据都将丢失。
delete-loses = 实例会停止；超过下面的时间后，数据和地址将永久丢失。
delete-grace = 您可以在 { $hours } 小时内撤销。
delete-grace-used = 该实例曾于 { $first } 删除过，可撤销时间从那时算起。本次删除还可在 { $hours ->
    [0] 不到 1
   *[other] { $hours }
 } 小时内撤销。
delete-grace-over = 该实例曾于 { $first } 删除过，可撤销时间从那时算起，现已用完。确认后将立即清除全部数据。
delete-undo-charged = 撤销删除后，期间的时间照常计费。
delete-at-once = 立即删除
delete-no-way-back = 现在就清除全部数据，无法恢复。
resize-to = 新套餐
resize-do = 变更套餐
resize-current = 当前套餐
resize-slider = 缩小或扩大
resize-disk-too-small = 当前磁盘大于该套餐的磁盘，且磁盘不能缩小，因此无法变更为该套餐。
resize-disk-grows = 套餐磁盘：{ $size }。仅当您在下方勾选时才会扩容。
resize-grow-disk = 将磁盘扩容到套餐大小
resize-grow-disk-hint = 扩容不可撤销：磁盘不能缩小，之后无法再选择磁盘更小的套餐。不勾选则保留现有磁盘，以后仍可扩容。
resize-live = 立即生效：{ $fields }。
resize-after-restart = 关机再启动后生效：{ $fields }。在此之前，较大的资源继续为您保留，并按价格较高的套餐计费。
resize-stopped = 实例已停止：全部在下次启动时生效。
resize-means = 会有哪些变化
resize-means-text = 选择套餐，查看哪些立即生效、哪些需要重新启动。

## 提示
flash-instance-asked = 正在处理。
flash-instance-renamed = 名称已修改。
flash-instance-protected = 已开启删除保护。
flash-instance-unprotected = 已关闭删除保护。
flash-instance-rebuilding = 正在重装实例。
flash-instance-resizing = 正在变更套餐。
flash-instance-deleted = 实例已删除，一段时间内可在此撤销。
flash-instance-deleted-now = 正在清除 { $value }。
flash-firewall-saved = 防火墙已保存。

## 动态
activity-instance-created = { $actor } 以套餐 { $plan } 创建了实例 { $name }
activity-instance-console-opened = { $actor } 打开了 { $name } 的控制台
activity-instance-start-requested = { $actor } 启动了 { $name }
activity-instance-shutdown-requested = { $actor } 关闭了 { $name }
activity-instance-power-off-requested = { $actor } 强制断电 { $name }
activity-instance-reboot-requested = { $actor } 重启了 { $name }
activity-instance-rebuild-requested = { $actor } 重装了 { $name }
activity-instance-resize-requested = { $actor } 将 { $name } 变更为套餐 { $plan }
activity-instance-policy-changed = { $actor } 修改了 { $name } 的资源
activity-instance-renamed = { $actor } 将实例改名为 { $name }
activity-instance-firewall-changed = { $actor } 修改了 { $name } 的防火墙
activity-instance-protection-changed = { $actor } 修改了 { $name } 的删除保护
activity-instance-delete-requested = { $actor } 删除了 { $name }
activity-instance-undeleted = { $actor } 撤销了对 { $name } 的删除
activity-instance-purge-requested = { $name } 的删除已过可撤销时间
activity-instance-purged = { $name } 及其数据已清除
activity-instance-retried = { $actor } 重新创建 { $name }
activity-instance-repaired = { $name } 的限制曾在宿主机上被改动，现已恢复
activity-instance-create-failed = { $name } 创建失败。{ $failure }
activity-instance-operation-failed = { $name } 的任务失败。{ $failure }
activity-instance-crashed = { $name } 崩溃了
activity-instance-network-not-seen = { $name } 启动后一直未在网络中出现
activity-instance-stopped-itself = { $name } 自行关机
activity-operation-deadline-passed = { $name } 的任务耗时过长
