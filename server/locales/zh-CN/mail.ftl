# Mails: subjects and bodies.
# 管理后台显示邮件时，用它代替链接。
mail-link-hidden = [链接仅收件人可见]
mail-footer =
    金时通 VPS
    您收到这封邮件是因为您的账号。请勿直接回复，此邮箱无人查看。

mail-verify-subject = 请确认您的邮箱地址
mail-verify-body =
    欢迎使用金时通 VPS。

    请打开以下链接，确认 { $email } 是您的邮箱：

    { $link }

    链接在 24 小时内有效，只能使用一次。如果不是您本人注册，请忽略本邮件：未经确认，任何人都无法使用该账号。

mail-account-exists-subject = 您已有账号
mail-account-exists-body =
    有人（可能是您本人）想用 { $email } 注册。该邮箱已有账号，没有任何改动。

    请在这里登录：

    { $link }

    如果忘记了密码，可以在这里设置新密码：

    { $reset_link }

mail-reset-subject = 设置新密码
mail-reset-body =
    请打开以下链接，为 { $email } 设置新密码：

    { $link }

    链接在 1 小时内有效，只能使用一次。如果不是您本人操作，请忽略本邮件，您的密码不会改变。

mail-password-changed-subject = 您的密码已更改
mail-password-changed-body =
    { $email } 的密码刚刚被更改。

    已退出登录的其他设备：{ $sessions }
    已撤销的 API 令牌：{ $tokens }

    如果不是您本人操作，请立即重新设置密码：

    { $link }

mail-password-reset-subject = 您的密码已重置
mail-password-reset-body =
    已通过邮件中的链接为 { $email } 设置了新密码。

    已退出登录的设备：{ $sessions }
    已撤销的 API 令牌：{ $tokens }
    已撤回的邀请：{ $invitations }
    需要重新确认的通行密钥：{ $passkeys }

    请用新密码登录，并在此确认您的通行密钥：

    { $security_link }

    如果此前有他人访问过您的账号，请同时检查团队成员、SSH 密钥，以及团队的 Webhook：

    { $webhooks }

    如果不是您本人重置，请立即设置新密码，并检查邮箱的安全：

    { $link }
mail-webhooks-none = 您没有 Webhook。

mail-change-email-subject = 请确认您的新邮箱地址
mail-change-email-body =
    请打开以下链接，将账号邮箱改为 { $email }：

    { $link }

    链接在 24 小时内有效，只能使用一次。如果不是您本人操作，请忽略本邮件。

mail-email-changed-subject = 您的账号邮箱已更改
mail-email-changed-body =
    您的账号邮箱已由 { $email } 改为 { $new_email }。

    如果不是您本人操作，请立即联系客服：对方知道您的密码。

mail-second-factor-on-subject = 两步验证已开启
mail-second-factor-on-body =
    今后登录 { $email } 时，除密码外还需要身份验证器中的验证码。

    请妥善保存恢复码，每个恢复码可以代替一次验证码。

    如果不是您本人操作，请立即更改密码：

    { $link }

mail-second-factor-off-subject = 两步验证已关闭
mail-second-factor-off-body =
    现在登录 { $email } 只需要密码。

    如果不是您本人操作，请立即更改密码：

    { $link }

mail-passkey-added-subject = 您的账号添加了通行密钥
mail-passkey-added-body =
    通行密钥“{ $name }”现在可以登录 { $email }，无需密码。

    如果不是您本人操作，请立即移除它并更改密码：

    { $link }

mail-new-sign-in-subject = 您的账号有新的登录
mail-new-sign-in-body =
    有人从 { $ip }（{ $browser }）登录了 { $email }，此前我们没有见过您使用该网络。

    如果是您本人，无需处理。如果不是，请立即结束该会话并更改密码：

    { $link }

mail-operation-failed-subject = { $name }：“{ $operation }”未能完成
mail-operation-failed-body =
    您的请求未能完成。服务器：{ $name }，操作：{ $operation }。

    { $reason }

    { $link }

mail-appeal-granted-subject = 您可以开始免费试用
mail-appeal-granted-body =
    我们已审核您的申请：您现在可以开始免费试用。

    { $link }

mail-appeal-declined-subject = 关于您的试用申请
mail-appeal-declined-body =
    我们已审核您的申请，暂时无法提供免费试用。您可以随时选择套餐：

    { $link }

# 陌生人可以自行命名的内容（如团队名称）不出现在主题和正文开头，以免我们的邮件被用来发广告。
mail-invitation-subject = 邀请您加入金时通 VPS 上的团队
mail-invitation-body =
    您收到一份邀请：在金时通 VPS 上共同管理某个团队的服务器。

    请以 { $email } 登录后打开以下链接，查看团队并接受邀请：

    { $link }

    链接在 7 天内有效。邀请由 { $inviter } 发出；如果您不认识对方，请忽略本邮件。

mail-trial-started-subject = 免费试用至 { $expires }
mail-trial-started-body =
    您的试用实例 { $name } 可免费使用至 { $expires }。

    在这里管理：

    { $link }

mail-trial-ending-subject = 您的试用将于 { $expires } 结束
mail-trial-ending-body =
    您的试用实例 { $name } 将于 { $expires } 停止，数据还会再保留几天。

    如需继续使用，请选择套餐：

    { $link }

mail-trial-stopped-subject = 您的试用已结束
mail-trial-stopped-body =
    您的试用实例 { $name } 已停止，数据保留至 { $expires }。

    如需继续使用，请选择套餐：

    { $link }

mail-trial-deleted-subject = 您的试用实例已删除
mail-trial-deleted-body =
    您的试用实例 { $name } 及其数据已删除。

    您可以随时创建新的实例：

    { $link }

mail-invoice-issued-subject = 您的账单 { $number }
mail-invoice-issued-body =
    您 { $month } 的账单 { $number } 已生成，合计 { $total }。

    请在此查看：

    { $link }

mail-low-balance-subject = 您的余额不足
mail-low-balance-body =
    扣除已使用的金额后，您的账户还剩 { $available }。金额用完后，实例将在几分钟内停止。

    请在此充值：

    { $link }

mail-running-out-subject = 您的余额可用时间不足 { $days } 天
mail-running-out-body =
    您的账户还剩 { $available }，按当前消耗可用时间不足 { $days } 天。余额用完后，实例将在几分钟内停止。

    请在此充值：

    { $link }

mail-payment-attention-subject = { $what }：{ $provider }
mail-payment-attention-body =
    { $what }（{ $provider }，{ $about }）{ $amount }

    付款存在争议的账户会暂停订购，直到争议胜诉或由您恢复订购。详情：

    { $link }

mail-orders-closed-subject = 您的账户已暂停订购
mail-orders-closed-body =
    一笔 { $amount } 的付款在银行被提出争议，该金额已从余额中扣除。争议撤回或裁定之前不能订购。如果您不清楚此争议，请联系我们。

    { $link }

mail-payment-reminder-subject = 您有款项已逾期
mail-payment-reminder-body =
    您的账户有款项逾期，目前为 { $available }。如仍未付款，实例将被停止，并在数周后删除。

    查看未付款项：

    { $link }

mail-account-suspended-subject = 您的实例已停止
mail-account-suspended-body =
    您的账户目前为 { $available }。实例已停止，停止期间不产生费用。数据从现在起保留 { $days } 天，之后将被删除。充值 { $missing } 后实例会重新启动。

    { $link }

mail-account-released-subject = 您的实例正在重新启动
mail-account-released-body =
    感谢您的付款，账户已恢复正常，之前运行的实例正在启动。

    { $link }

mail-account-deleted-subject = 您的实例已删除
mail-account-deleted-body =
    您的账户目前为 { $available }，长期未付款，实例已删除。如需恢复，请立即联系我们。

    { $link }

mail-webhook-disabled-subject = Webhook { $name } 已停用
mail-webhook-disabled-body =
    我们已停止向 { $url } 发送消息。

    { $reason }。

    请排除问题，发送一次测试，然后重新启用该 Webhook。停用前等待发送的消息会在启用后发出。

    { $link }

mail-set-aside-subject = 平台有工作持续失败：{ $kind }
mail-set-aside-body =
    “{ $kind }”多次失败，已搁置。原因：{ $reason }。

    其余一切照常进行，此项会按逐渐变长的间隔重试。失败的内容和原因：

    { $link }
