error-trial-used = 您已使用过免费试用。如需再创建实例，请选择套餐。
error-trial-network = 今天从您所在网络开始的试用过多。请明天再试，或选择套餐。
error-trial-expired = 您的试用已结束，数据仍然保留：选择套餐即可继续使用。
