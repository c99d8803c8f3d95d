error-join-token-invalid = 该加入令牌已使用、已过期或从未签发。请在宿主机页面重新创建。
error-certificate-required = 此调用需要已加入宿主机的客户端证书。
error-certificate-refused = 该证书已吊销、已过期或不属于任何宿主机。请使用新的加入令牌重新加入。
error-host-disabled = 该宿主机已停用。管理员可以在宿主机页面重新启用。
invalid-certificate-request = 证书请求无法使用：{ $problem }。
