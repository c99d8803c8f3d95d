//! What the page says in Chinese of the document, which is in English as programs' documents are: the
//! introduction, the groups, and what each call does.
//!
//! Keyed by the English words, so that who changes those is told by a test to change these too.

/// The introduction, in the same few marks as the English one.
pub const INTRODUCTION: &str = "\
门户和管理后台能做的一切，都经由这套 API 背后的同一批用例完成。

**身份验证。** 发送 `Authorization: Bearer jst_…`，令牌在“API 令牌”页面创建。令牌的权限范围是 `read` 或 `write`，\
且不超过其所有者在请求时的角色；所有者可以加上 `members`（管理成员和邀请，但不能涉及所有者），管理员可以加上 `admin`。\
由令牌创建的凭据随令牌一同失效。属于其他团队的内容，以及对普通用户而言的管理接口，一律返回 404。

**变更是异步的。** 变更实例的请求返回 202 和一个任务；请反复查询该任务，直到状态变为 `succeeded` 或 `failed`。

**安全地重复请求。** POST 时发送 `Idempotency-Key`：24 小时内，同样的键和同样的内容只生效一次，得到同一个应答；权限更少的令牌不会得到该应答。

**列表**从新到旧排列。把应答中的 `next_cursor` 作为 `cursor` 发送，即可读取后面的内容。

**错误**以问题文档（RFC 9457）返回，其中的 `code` 保持不变；`errors` 指出有误的字段。\
本文档未列出的字段和查询参数、列表中的空项，一律拒绝。文字的语言取决于 `Accept-Language`（en、zh-CN）。

**单位。** 内存和磁盘为 MiB（2^20 字节），CPU 为千分之一核，网络为 kbit/s（1,000 比特），磁盘吞吐为每秒字节数，\
价格为货币的最小单位。时间为 RFC 3339 格式的 UTC 时间。";

/// The Chinese of a group or of a summary; the English itself where there is none.
pub fn of(english: &str) -> &str {
    WORDS.iter().find(|(key, _)| *key == english).map_or(english, |(_, chinese)| chinese)
}

const WORDS: &[(&str, &str)] = &[
    // Groups.
    ("Account", "账号"),
    ("Actions", "实例操作"),
    ("Activity", "动态"),
    ("Administration: billing", "管理：计费"),
    ("Administration: catalogue", "管理：套餐与镜像"),
    ("Administration: customers", "管理：客户"),
    ("Administration: hosts", "管理：宿主机"),
    ("Administration: instances", "管理：实例"),
    ("Administration: networks", "管理：网络"),
    ("Administration: platform", "管理：平台"),
    ("Failures that are set aside", "已搁置的失败"),
    ("Billing", "账单"),
    ("Catalogue", "套餐与镜像"),
    ("Administration: webhooks", "管理：Webhook"),
    ("Webhooks", "Webhook"),
    ("List webhooks, the newest first", "列出 Webhook，从新到旧"),
    ("Make a webhook", "创建 Webhook"),
    ("One webhook", "一个 Webhook"),
    ("Change, enable or disable a webhook", "修改、启用或停用 Webhook"),
    ("Delete a webhook with its deliveries", "删除 Webhook 及其投递记录"),
    ("Give a webhook a new secret", "为 Webhook 生成新密钥"),
    ("Send a test to a webhook", "向 Webhook 发送测试"),
    ("List a webhook's deliveries, the newest first", "列出 Webhook 的投递，从新到旧"),
    ("One delivery with its attempts", "一次投递及其尝试"),
    ("Send a delivery again", "重新发送一次投递"),
    ("Instances", "实例"),
    ("Operations", "任务"),
    ("SSH keys", "SSH 密钥"),
    ("Sessions", "登录会话"),
    ("Team", "团队"),
    ("Tokens", "令牌"),
    // Calls.
    ("The account of the token", "令牌所属的账号"),
    ("Change the account", "修改账号"),
    ("Which mails are wanted", "想收到哪些邮件通知"),
    ("Choose which mails are wanted", "设置想收到哪些邮件通知"),
    ("List what happened, the newest first", "列出动态，从新到旧"),
    ("The audit log", "审计日志"),
    ("All announcements, newest first", "全部公告，从新到旧"),
    ("Imports of images", "镜像导入"),
    ("Fetch an image from elsewhere", "从网上获取镜像"),
    ("Remove an import", "移除一个导入"),
    ("Try a failed operation again", "重试一个失败的任务"),
    ("Take a request about power back", "撤回一个电源请求"),
    ("Announce something to everybody", "向所有人发布公告"),
    ("One announcement", "一条公告"),
    ("Replace an announcement", "替换一条公告"),
    ("End an announcement now", "立即结束一条公告"),
    ("Delete an announcement", "删除一条公告"),
    ("All customers", "全部客户"),
    ("One customer", "一位客户"),
    ("Set a customer's quotas", "设置客户的配额"),
    ("Suspend a customer", "暂停一位客户"),
    ("Lift a customer's suspension", "恢复一位客户"),
    ("Create a join token", "创建加入令牌"),
    ("All hosts", "全部宿主机"),
    ("One host", "一台宿主机"),
    ("Change a host", "修改宿主机"),
    ("Revoke a host's certificates", "吊销宿主机的证书"),
    ("All images", "全部镜像"),
    ("Register an image", "登记镜像"),
    ("One image", "一个镜像"),
    ("Change what is said about an image", "修改镜像的说明"),
    ("Retire an image", "下架镜像"),
    ("Offer a retired image again", "重新上架镜像"),
    ("All instances", "全部实例"),
    ("One instance", "一个实例"),
    ("Give an instance a policy of its own", "为实例单独设定资源策略"),
    ("What an instance used over time", "一个实例一段时间内的用量"),
    ("The mail outbox", "发件箱"),
    ("One mail", "一封邮件"),
    ("Send a mail again", "重新发送邮件"),
    ("All operations", "全部任务"),
    ("The platform in figures", "平台概览数据"),
    ("Where would an instance of this plan go?", "这个套餐的实例会放到哪台宿主机？"),
    ("All plans", "全部套餐"),
    ("Create a plan", "创建套餐"),
    ("One plan", "一个套餐"),
    ("Replace a plan", "替换套餐"),
    ("Retire a plan", "下架套餐"),
    ("Offer a retired plan again", "重新上架套餐"),
    ("All address pools", "全部地址池"),
    ("Create an address pool", "创建地址池"),
    ("One address pool", "一个地址池"),
    ("Replace an address pool", "替换地址池"),
    ("Delete an address pool", "删除地址池"),
    ("The settings in force", "当前生效的设置"),
    ("Change settings", "修改设置"),
    ("All trials", "全部试用"),
    ("Appeals that wait", "等待处理的试用审核申请"),
    ("Decide an appeal", "处理试用审核申请"),
    ("Disable an account", "停用账号"),
    ("Enable an account again", "重新启用账号"),
    ("The images on offer", "可选的镜像"),
    ("Your instances, newest first", "您的实例，从新到旧"),
    ("Creates an instance", "创建实例"),
    ("Deletes an instance", "删除实例"),
    (
        "Changes what the host has no part in: the protection from being deleted",
        "修改与宿主机无关的属性：删除保护",
    ),
    ("Ends the guest without asking it: as pulling the plug", "强制断电，不通知系统，如同拔掉电源"),
    ("Asks the guest to restart; one that does not follow is reset", "通知系统重启；没有响应则强制重启"),
    ("Destroys what is on the disk and starts the instance from an image", "清除磁盘内容，并用镜像重装实例"),
    (
        "Moves an instance to another plan; a trial becomes a bought instance",
        "更换套餐；试用实例转为正式购买",
    ),
    ("Tries again to make an instance whose creation failed", "重试创建失败的实例"),
    (
        "Asks the guest to shut down; one that does not follow is ended after a while",
        "通知系统关机；一段时间没有响应则强制结束",
    ),
    ("Opens a console of a running instance", "打开运行中实例的控制台"),
    ("Open a console of any running instance", "打开任意运行中实例的控制台"),
    ("Starts an instance", "启动实例"),
    (
        "Undoes a deletion while its grace period runs; the instance is then stopped",
        "在保留期内撤销删除；撤销后实例处于关机状态",
    ),
    ("Replaces the rules of the firewall", "替换防火墙规则"),
    ("Gives an instance another name", "修改实例名称"),
    ("The latest counters; null until the host has reported some", "最新的用量计数；宿主机尚未上报时为 null"),
    ("What the instance used over time", "实例一段时间内的用量"),
    ("Operations, newest first", "任务，从新到旧"),
    (
        "One operation: ask for it again until its state is succeeded, failed or cancelled",
        "一项任务：反复查询，直到状态变为 succeeded、failed 或 cancelled",
    ),
    ("The plans on offer", "可选的套餐"),
    ("List where one is signed in, the newest first", "列出已登录的位置，从新到旧"),
    ("Sign out everywhere", "全部退出登录"),
    ("Sign out one browser", "退出一个浏览器的登录"),
    ("List SSH keys, the newest first", "列出 SSH 密钥，从新到旧"),
    ("Add an SSH key", "添加 SSH 密钥"),
    ("One SSH key", "一个 SSH 密钥"),
    ("Delete an SSH key", "删除 SSH 密钥"),
    ("List open invitations, the newest first", "列出尚未接受的邀请，从新到旧"),
    ("Invite somebody by mail", "用邮件邀请成员"),
    ("Withdraw an invitation", "撤回邀请"),
    ("List members, the newest first", "列出成员，从新到旧"),
    ("Remove a member", "移除成员"),
    ("Change the role of a member", "修改成员的角色"),
    ("List API tokens that are not revoked, the newest first", "列出未撤销的 API 令牌，从新到旧"),
    ("Revoke an API token", "撤销 API 令牌"),
    ("How the account stands", "账户的余额、未出账用量和本月预计"),
    ("List the account's entries, the newest first", "列出资金明细，从新到旧"),
    ("List invoices, the newest first", "列出账单，从新到旧"),
    ("One invoice with its lines and credit notes", "一张账单及其明细与冲抵单"),
    ("Add a voucher to the balance", "兑换代金券"),
    ("Revenue and receivables", "收入与应收款"),
    ("What the operator decides about money", "计费设置"),
    ("Replace what the operator decides about money", "修改计费设置"),
    ("All invoices, the newest first", "全部账单，从新到旧"),
    ("One invoice of any customer", "任一客户的一张账单"),
    ("Give back a part of an invoice", "开具冲抵单"),
    ("How a customer's account stands", "客户账户的余额与用量"),
    ("Set the terms of a customer's account", "设置客户账户的条款"),
    ("A customer's entries, the newest first", "客户的资金明细，从新到旧"),
    ("Record a payment, a refund, a credit or a chargeback", "登记付款、退款、赠金或拒付"),
    ("Open an account for orders in spite of a dispute", "恢复存在争议的账户的订购"),
    ("The ledger of an instance", "实例的计量台账"),
    ("Make a voucher", "生成代金券"),
    ("List payments, the newest first", "列出在线支付，从新到旧"),
    ("Begin a payment", "发起支付"),
    ("One payment", "一笔支付"),
    ("The ways to pay in the account's currency", "账户币种可用的支付方式"),
    ("All payments, the newest first", "全部在线支付，从新到旧"),
    ("What payment providers have told, the newest first", "支付渠道的通知，从新到旧"),
    ("One event of a payment provider", "一条支付渠道通知"),
    ("Read and apply an event of a payment provider again", "重新读取并处理支付渠道通知"),
    ("The payment providers and their settings", "支付渠道及其设置"),
    ("Change the settings of a payment provider", "修改支付渠道设置"),
];

#[cfg(test)]
mod tests {
    use super::super::model::Reference;
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_call_is_said_in_chinese_and_has_a_place_of_its_own() {
        let (_, document) = crate::router::api_routes().split_for_parts();
        let document = crate::web::api::described(document);
        let reference = Reference::of(&serde_json::to_value(document).unwrap());
        let mut anchors = HashSet::new();
        let mut used = HashSet::new();
        let operations = reference.groups.iter().flat_map(|group| &group.operations);
        for operation in operations {
            assert!(anchors.insert(&operation.anchor), "{} is twice on the page", operation.anchor);
            used.insert(operation.summary.as_str());
        }
        used.extend(reference.groups.iter().map(|group| group.name.as_str()));
        let known: HashSet<&str> = WORDS.iter().map(|(english, _)| *english).collect();
        let differences: Vec<_> = known.symmetric_difference(&used).collect();
        assert!(differences.is_empty(), "without Chinese, or no longer said: {differences:#?}");
    }
}
