//! The messages.  The words for things are those of the portal.

use super::Text;

/// A constant for each message, and all of them in one list for the test that compares the languages.
macro_rules! texts {
    ($($name:ident = $en:literal, $zh:literal;)*) => {
        $(pub const $name: Text = Text { en: $en, zh: $zh };)*
        #[cfg(test)]
        pub const ALL: &[Text] = &[$($name),*];
    };
}

texts! {
    // Where the server is, and who asks.
    NO_SERVER = "No server is known. Log in with: jst login --server https://…",
        "尚未指定服务器。请登录：jst login --server https://…";
    NO_TOKEN = "You are not logged in to {server}. Log in with: jst login --server {server:sh}",
        "尚未登录 {server}。请登录：jst login --server {server:sh}";
    BAD_SERVER = "{server} is no address of a server. Write it like https://portal.example.com",
        "{server} 不是服务器地址。写法如 https://portal.example.com";
    NOT_ENCRYPTED = "{server} is not encrypted, and the token would travel readable by others. Write https:// (http:// is for this machine only).",
        "{server} 未加密，令牌会被他人读取。请使用 https://（http:// 仅限本机）。";
    BAD_TOKEN = "This is no API token: it begins with jst_ and holds no spaces. Make one in the portal, under API tokens.",
        "这不是 API 令牌：令牌以 jst_ 开头，不含空格。请在网站的“API 令牌”页面创建。";
    ASK_SERVER = "Server (https://…): ", "服务器（https://…）：";
    ASK_TOKEN = "API token for {server} (it is not shown): ", "{server} 的 API 令牌（不会显示）：";
    NO_TERMINAL_FOR_TOKEN = "There is no terminal to read the token from. Send it to standard input, with --token-stdin.",
        "没有可读取令牌的终端。请加上 --token-stdin，从标准输入传入。";
    NO_TERMINAL_FOR_SERVER = "Name the server with --server https://…",
        "请用 --server https://… 指定服务器。";
    LOGGED_IN = "Logged in to {server} as {email}, team {team}. The token is kept in {file}.",
        "已登录 {server}，账户 {email}，团队 {team}。令牌保存在 {file}。";
    LOGGED_OUT = "Logged out: the token is no longer on this machine. Revoke it in the portal if nobody else uses it.",
        "已退出：本机不再保存令牌。若无他用，请在网站上吊销它。";
    NOT_LOGGED_IN = "There was nothing to forget: nobody was logged in.", "没有可清除的内容：此前未登录。";
    TOKEN_FROM_ENVIRONMENT = "JST_TOKEN is set and goes on to be used. Take it away with: unset JST_TOKEN",
        "JST_TOKEN 已设置，仍会生效。清除它：unset JST_TOKEN";

    // Files.
    NO_HOME = "There is no place for the configuration. Set HOME or XDG_CONFIG_HOME.",
        "没有存放配置的位置。请设置 HOME 或 XDG_CONFIG_HOME。";
    CANNOT_READ = "{file} cannot be read: {cause}", "无法读取 {file}：{cause}";
    CANNOT_WRITE = "{file} cannot be written: {cause}", "无法写入 {file}：{cause}";
    BAD_CONFIG = "{file} is damaged: {cause}. Log in anew with: jst login",
        "{file} 已损坏：{cause}。请重新登录：jst login";
    CONFIG_IS_OPEN = "Others on this machine can read the token in {file}. Close it with: chmod 600 {file:sh}",
        "本机其他用户可以读取 {file} 中的令牌。请执行：chmod 600 {file:sh}";
    BAD_CA = "{file} holds no certificate in PEM form. Give the certificate of the authority with --ca or JST_CA.",
        "{file} 中没有 PEM 格式的证书。请用 --ca 或 JST_CA 指定证书颁发机构的证书。";
    NO_ROOTS = "This machine knows no certificate authorities: {cause}. Install the package ca-certificates, or name one with --ca.",
        "本机没有任何证书颁发机构：{cause}。请安装 ca-certificates 软件包，或用 --ca 指定。";

    // The network.
    NO_CONNECTION = "{server} cannot be reached: {cause}. Check the address and your network.",
        "无法连接 {server}：{cause}。请检查地址和网络。";
    CONNECTION_BROKE = "{server} was asked {times} and gave no whole answer: {cause}. The change may have been made; look before you repeat it, with: jst operations",
        "已向 {server} 请求 {times}，均未得到完整答复：{cause}。更改可能已经生效；重试前请先查看：jst operations";
    NO_ANSWER = "{server} was asked {times} and gave no whole answer: {cause}. Try again later.",
        "已向 {server} 请求 {times}，均未得到完整答复：{cause}。请稍后再试。";
    NOT_TRUSTED = "The certificate of {server} was not accepted: {cause}. If it is of a private authority, name its certificate with --ca FILE.",
        "{server} 的证书未被接受：{cause}。若由私有机构签发，请用 --ca FILE 指定其证书。";
    REDIRECTED = "{server} leads to {location}, and tokens are not sent on. If that is the right place: jst login --server …",
        "{server} 转到了 {location}，令牌不会随之发送。若地址无误，请执行：jst login --server …";
    NOT_OURS = "{server} answered {status} with something that is not of this API. Check the address with: jst login --server …",
        "{server} 返回了 {status}，内容不属于本 API。请检查地址：jst login --server …";
    WAITING_FOR_TURN = "Too many requests: going on in {seconds} s.", "请求过多：{seconds} 秒后继续。";

    // What the API refused, and what to do then.
    NEXT_LOG_IN = "The token is not valid (any more). Make one in the portal, under API tokens, then: jst login --server {server:sh}",
        "令牌无效或已失效。请在网站的“API 令牌”页面新建，然后执行：jst login --server {server:sh}";
    NEXT_RIGHTS = "The token needs the scope for this (write for changes), and its owner the role. jst account shows who asks.",
        "令牌需要相应的权限（更改需要 write），所有者也需要相应的角色。查看当前账户：jst account";
    NEXT_ADD_MONEY = "Add it here, then order again: {server}/billing/payments?amount={amount}",
        "请在此充值后重新下单：{server}/billing/payments?amount={amount}";
    NEXT_BILLING = "See and pay what is due: {server}/billing", "查看并付款：{server}/billing";
    NEXT_LOOK = "See what there is with: jst ls", "查看现有实例：jst ls";
    NEXT_STATE = "See the present state with: jst show NAME", "查看当前状态：jst show 名称";
    NEXT_PLANS = "See what can be chosen with: jst plans", "查看可选套餐：jst plans";
    NEXT_IMAGES = "See what can be chosen with: jst images", "查看可选镜像：jst images";
    NEXT_KEYS = "See your keys with: jst keys", "查看您的密钥：jst keys";
    NEXT_CORRECT = "Change what is named, and try again.", "请修改所指出的内容后重试。";
    NEXT_WAIT = "Try again in {seconds} s.", "请在 {seconds} 秒后重试。";
    NEXT_LATER = "Try again later. If it stays so, tell the operator the number of the request.",
        "请稍后重试。若问题持续，请将请求编号告知运营方。";
    REQUEST_ID = "Request: {id}", "请求编号：{id}";
    ERROR = "Error: ", "错误：";

    // Names.
    NO_SUCH_INSTANCE = "There is no instance named {name}. See what there is with: jst ls",
        "没有名为 {name} 的实例。查看现有实例：jst ls";
    AMBIGUOUS = "{name} may mean several: {candidates}. Use the id.",
        "{name} 可能指多个：{candidates}。请使用 ID。";
    NO_SUCH_KEY = "There is no SSH key named {name}. See what there is with: jst keys",
        "没有名为 {name} 的 SSH 密钥。查看现有密钥：jst keys";
    NO_SUCH_OPERATION = "{name} is no id of an operation. See what there is with: jst operations",
        "{name} 不是任务 ID。查看现有任务：jst operations";

    // Asking before something is lost.
    WARN_DELETE = "This deletes {name}. It can be undone for some time, with: jst undelete {name:sh}",
        "将删除 {name}。一段时间内可以撤销：jst undelete {name:sh}";
    WARN_DELETE_NOW = "This deletes {name} and everything on its disk, at once and for ever.",
        "将立即永久删除 {name} 及其磁盘上的全部数据。";
    WARN_REBUILD = "This destroys everything on the disk of {name} and starts it from {image}.",
        "将清除 {name} 磁盘上的全部数据，并从 {image} 重装。";
    WARN_REMOVE_KEY = "This removes the key {name}. Instances that have it keep it.",
        "将移除密钥 {name}。已有此密钥的实例不受影响。";
    TYPE_NAME = "Type its name to go on: ", "请输入名称以继续：";
    NOT_CONFIRMED = "That is not its name; nothing was changed.", "名称不符，未作任何更改。";
    NEEDS_YES = "There is no terminal to ask on. If {name} is really meant, repeat the command with --yes.",
        "没有可供确认的终端。若确定是 {name}，请加上 --yes 重试。";

    // Operations.
    PROGRESS = "{name}: {kind}, {step}", "{name}：{kind}，{step}";
    PROGRESS_RETRY = "{name}: {kind}, {step} (trying again: {cause})", "{name}：{kind}，{step}（正在重试：{cause}）";
    NO_ANSWER_YET = "{server} does not answer; waiting for it", "{server} 没有应答，等待中";
    ACCEPTED = "{name}: {kind} is on its way. Follow it with: jst wait {id:sh}", "{name}：{kind}已受理。跟踪进度：jst wait {id:sh}";
    DONE = "{name}: {kind} is done.", "{name}：{kind}已完成。";
    RESTART_REQUIRED = "In force after a restart only: {fields}. Restart with: jst reboot {name:sh}",
        "重启后生效：{fields}。请重启：jst reboot {name:sh}";
    FAILED = "{name}: {kind} failed: {detail} ({code})\nSee the present state with: jst show {name:sh}. After a failed creation: jst retry {name:sh}, or jst delete {name:sh}",
        "{name}：{kind}失败：{detail}（{code}）\n查看当前状态：jst show {name:sh}。创建失败后可执行 jst retry {name:sh} 或 jst delete {name:sh}";
    CANCELLED = "{name}: {kind} gave way to a newer request. See with: jst operations",
        "{name}：{kind}已被新的请求取代。查看：jst operations";
    TIMED_OUT = "{name}: {kind} has not ended after {seconds} s, and goes on. Wait on with: jst wait {id:sh}",
        "{name}：{kind}在 {seconds} 秒内未结束，仍在进行。继续等待：jst wait {id:sh}";
    INTERRUPTED = "{name}: {kind} goes on without you. Follow it with: jst wait {id:sh}",
        "{name}：{kind}仍在继续。跟踪进度：jst wait {id:sh}";

    // Instances.
    NO_INSTANCES = "There are no instances yet. Make one with: jst create --plan … --image … --name …",
        "还没有实例。创建一个：jst create --plan … --image … --name …";
    NOTHING_HERE = "There is nothing to show yet.", "暂无内容。";
    CONSOLE_OPEN = "The serial port of {name}. Press Enter where nothing shows; Ctrl-] leaves.",
        "{name} 的串口。若无显示请按回车；按 Ctrl-] 退出。";
    CONSOLE_LEFT = "You left {name}.", "已离开 {name}。";
    CONSOLE_ENDED = "The console of {name} has ended ({reason}). Open it again with: jst console {name:sh}",
        "{name} 的控制台已结束（{reason}）。重新打开：jst console {name:sh}";
    CONSOLE_STOPPED = "{name} does not run any more. Start it with: jst start {name:sh}",
        "{name} 已不再运行。启动：jst start {name:sh}";
    CONSOLE_REBUILT = "{name} was rebuilt. Open the console of the new system with: jst console {name:sh}",
        "{name} 已重装。打开新系统的控制台：jst console {name:sh}";
    CONSOLE_TAKEN_OVER = "Somebody else opened the serial port of {name}, which has one reader. Take it back with: jst console {name:sh}",
        "{name} 的串口已被他人打开，同一时间只能由一人使用。取回：jst console {name:sh}";
    CONSOLE_TOO_LONG = "The console of {name} was open too long or unused for too long. Open it again with: jst console {name:sh}",
        "{name} 的控制台打开过久或长时间未使用。重新打开：jst console {name:sh}";
    CONSOLE_RIGHTS = "You may not use the console of {name} any more: the token, your role or the account has changed.",
        "您已无权使用 {name} 的控制台：令牌、您的角色或账户有变。";
    CONSOLE_HOST_SILENT = "The host of {name} did not answer. Try again in a moment.",
        "{name} 所在的宿主机没有响应，请稍后再试。";
    CONSOLE_TOO_SLOW = "The console of {name} could not keep up and was closed. Open it again with: jst console {name:sh}",
        "{name} 的控制台来不及处理，已关闭。重新打开：jst console {name:sh}";
    CONSOLE_BROKE = "The console broke off: {cause}", "控制台连接中断：{cause}";
    CREATED = "{name} has the addresses {addresses}. Log in with: jst ssh {name:sh}",
        "{name} 的地址为 {addresses}。登录：jst ssh {name:sh}";
    NO_KEY_GIVEN = "Without --key nobody can log in over SSH. Your keys: jst keys",
        "未指定 --key，将无法通过 SSH 登录。查看密钥：jst keys";
    DELETED_UNTIL = "{name} can be brought back until {time}, with: jst undelete {name:sh}",
        "{time} 之前可以恢复 {name}：jst undelete {name:sh}";
    GONE = "{name} is deleted.", "{name} 已删除。";
    PROTECTED = "{name} is protected: it cannot be deleted until jst unprotect {name:sh}",
        "{name} 已受保护：执行 jst unprotect {name:sh} 之前无法删除。";
    UNPROTECTED = "{name} can be deleted again.", "{name} 可以删除了。";
    KEY_ADDED = "The key {name} is known now: {fingerprint}", "已添加密钥 {name}：{fingerprint}";
    KEY_REMOVED = "The key {name} is removed. Instances that have it keep it.",
        "密钥 {name} 已移除。已有此密钥的实例不受影响。";
    PRIVATE_KEY = "{file} holds a private key, which is nobody's business but yours: it was not sent. Give the file that ends in .pub",
        "{file} 是私钥，只应由您保管，因此没有发送。请指定以 .pub 结尾的文件。";
    TOO_LARGE = "{file} is larger than {limit} bytes.", "{file} 超过 {limit} 字节。";
    BAD_RULE = "{rule} is no rule. Write PROTOCOL[:PORTS][@PEERS], such as tcp:22, udp:8000-8100 or tcp:443@203.0.113.0/24,2001:db8::/32",
        "{rule} 不是有效规则。写法为 协议[:端口][@对端]，如 tcp:22、udp:8000-8100、tcp:443@203.0.113.0/24,2001:db8::/32";
    NO_ADDRESS = "{name} has no address to connect to. See with: jst show {name:sh}",
        "{name} 没有可连接的地址。查看：jst show {name:sh}";
    BAD_USER = "{user} is no name of a user. Name one with --user", "{user} 不是有效的用户名。请用 --user 指定。";
    NO_SSH = "ssh cannot be started: {cause}. Install an OpenSSH client.", "无法启动 ssh：{cause}。请安装 OpenSSH 客户端。";

    // Heads of tables and names of facts.
    NAME = "NAME", "名称";
    ID = "ID", "ID";
    STATE = "STATE", "状态";
    PLAN = "PLAN", "套餐";
    CHARGED_PLAN = "CHARGED UNTIL APPLIED", "生效前计费套餐";
    IMAGE = "IMAGE", "镜像";
    ADDRESSES = "ADDRESSES", "地址";
    HOSTNAME = "HOSTNAME", "主机名";
    LOG_IN_AS = "LOG IN AS", "登录用户";
    CREATED_AT = "CREATED", "创建时间";
    BEGUN_AT = "BEGUN", "开始时间";
    RESOURCES = "RESOURCES", "资源";
    MEMORY = "MEMORY", "内存";
    DISK = "DISK", "磁盘";
    CPU = "CPU", "处理器";
    GUARANTEED = "GUARANTEED", "最低保障";
    PRICE = "A MONTH", "每月";
    TRIAL = "TRIAL", "试用";
    LEAST_DISK = "LEAST DISK", "最小磁盘";
    LEAST_MEMORY = "LEAST MEMORY", "最小内存";
    FINGERPRINT = "FINGERPRINT", "指纹";
    INSTANCE = "INSTANCE", "实例";
    KIND = "KIND", "类型";
    STEP = "STEP", "步骤";
    PROBLEM = "PROBLEM", "问题";
    RESTART = "AFTER A RESTART", "重启后生效";
    DRIFT = "DRIFT", "偏差";
    NETWORK = "NETWORK", "网络";
    NETWORK_NOT_SEEN = "not seen since it started; check the console, or rebuild", "启动后未检测到；请查看远程控制台或重装系统";
    LOCKED = "LOCKED", "锁定原因";
    PROTECTION = "PROTECTED", "删除保护";
    RUNNING_OPERATION = "OPERATION", "任务";
    TRIAL_UNTIL = "TRIAL UNTIL", "试用至";
    DELETED_FOR_GOOD = "GONE FROM", "彻底删除";
    INBOUND = "INBOUND", "入站";
    OUTBOUND = "OUTBOUND", "出站";
    BLOCKED = "CLOSED BY THE PLATFORM", "平台封闭的端口";
    ALL_OPEN = "everything passes", "全部放行";
    ALL_CLOSED = "nothing passes", "全部拒绝";
    FIGURE = "FIGURE", "项目";
    LATEST = "LATEST", "最新";
    AVERAGE = "AVERAGE", "平均";
    HIGHEST = "HIGHEST", "最高";
    MAXIMUM = "MAXIMUM", "上限";
    UNIT = "UNIT", "单位";
    COURSE = "COURSE", "走势";
    SERVER = "SERVER", "服务器";
    EMAIL = "EMAIL", "邮箱";
    TEAM = "TEAM", "团队";
    ROLE = "ROLE", "角色";
    YES = "yes", "是";
    FREE = "free", "免费";
    ONCE = "once", "1 次";
    TIMES = "{count} times", "{count} 次";

    // States, kinds and steps, as the API names them.
    PROVISIONING = "provisioning", "创建中";
    RUNNING = "running", "运行中";
    STOPPED = "stopped", "已停止";
    CRASHED = "crashed", "已崩溃";
    INSTANCE_FAILED = "failed", "创建失败";
    DELETING = "deleted", "已删除";
    PENDING = "waiting", "等待中";
    UNDER_WAY = "under way", "进行中";
    SUCCEEDED = "done", "完成";
    OPERATION_FAILED = "failed", "失败";
    REPLACED = "replaced", "已被取代";
    KIND_CREATE = "creation", "创建";
    KIND_START = "start", "启动";
    KIND_SHUTDOWN = "shutdown", "关机";
    KIND_POWER_OFF = "power-off", "强制断电";
    KIND_REBOOT = "reboot", "重启";
    KIND_REBUILD = "rebuild", "重装";
    KIND_RESIZE = "resize", "变更套餐";
    KIND_RENAME = "rename", "改名";
    KIND_FIREWALL = "firewall", "修改防火墙";
    KIND_DELETE = "deletion", "删除";
    KIND_UNDELETE = "undoing the deletion", "撤销删除";
    KIND_PURGE = "removing the data", "清除数据";
    STEP_QUEUED = "waiting for the host", "等待宿主机";
    STEP_FETCHING_IMAGE = "fetching the image", "获取镜像";
    STEP_CREATING_VOLUME = "making the disk", "创建磁盘";
    STEP_CONFIGURING = "setting up", "配置中";
    STEP_STARTING = "starting", "启动中";
    STEP_BOOTING = "the system boots", "系统正在启动";
    STEP_STOPPING = "stopping", "停止中";
    STEP_RESIZING = "changing the resources", "调整资源";
    STEP_DELETING = "removing the data", "清除数据";
}

/// The word for an instance's state; nothing for one that this release does not know.
pub fn instance_state(name: &str) -> Option<Text> {
    Some(match name {
        "provisioning" => PROVISIONING,
        "running" => RUNNING,
        "stopped" => STOPPED,
        "crashed" => CRASHED,
        "failed" => INSTANCE_FAILED,
        "deleting" => DELETING,
        _ => return None,
    })
}

pub fn operation_state(name: &str) -> Option<Text> {
    Some(match name {
        "pending" => PENDING,
        "running" => UNDER_WAY,
        "succeeded" => SUCCEEDED,
        "failed" => OPERATION_FAILED,
        "cancelled" => REPLACED,
        _ => return None,
    })
}

pub fn kind(name: &str) -> Option<Text> {
    Some(match name {
        "create" => KIND_CREATE,
        "start" => KIND_START,
        "shutdown" => KIND_SHUTDOWN,
        "power_off" => KIND_POWER_OFF,
        "reboot" => KIND_REBOOT,
        "rebuild" => KIND_REBUILD,
        "resize" => KIND_RESIZE,
        "rename" => KIND_RENAME,
        "firewall" => KIND_FIREWALL,
        "delete" => KIND_DELETE,
        "undelete" => KIND_UNDELETE,
        "purge" => KIND_PURGE,
        _ => return None,
    })
}

pub fn step(name: &str) -> Option<Text> {
    Some(match name {
        "queued" => STEP_QUEUED,
        "fetching_image" => STEP_FETCHING_IMAGE,
        "creating_volume" => STEP_CREATING_VOLUME,
        "configuring" => STEP_CONFIGURING,
        "starting" => STEP_STARTING,
        "booting" => STEP_BOOTING,
        "stopping" => STEP_STOPPING,
        "resizing" => STEP_RESIZING,
        "deleting" => STEP_DELETING,
        _ => return None,
    })
}
