invalid-host-name = 请像命名机器那样使用字母、数字、连字符和点，最多 63 个字符。
