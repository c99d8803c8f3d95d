error-join-token-invalid = This join token was used already, has expired or was never issued. Create a new one on the hosts page.
error-certificate-required = This call needs the client certificate of an enrolled host.
error-certificate-refused = This certificate was revoked, has expired or belongs to no host. Enrol the host again with a new join token.
error-host-disabled = This host is disabled. An administrator can let it in again on the hosts page.
invalid-certificate-request = The certificate request cannot be used: { $problem }.
