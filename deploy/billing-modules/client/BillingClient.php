<?php

/**
 * Client of /billing/v1, shared by the modules of all billing systems.
 *
 * It does what every module needs and knows no billing system: one request at a time over verified TLS, with a deadline,
 * and every failure as an exception in words.  deploy/billing-modules/pack puts a copy beside each module.
 */

declare(strict_types=1);

namespace Jinshitong\Billing;

if (class_exists(BillingClient::class, false)) {
    return;
}

/** Anything but success; the message can be shown to staff. */
final class BillingException extends \RuntimeException
{
    public function __construct(
        string $message,
        /** 0 where no answer came. */
        public readonly int $status = 0,
        /** The stable code of the problem document, such as `service-mismatch`. */
        public readonly string $problem = '',
    ) {
        parent::__construct($message, $status);
    }
}

final class BillingClient
{
    private const CONNECT_SECONDS = 5;
    private const SECONDS = 30;
    /** A page of usage is far smaller; whoever sends more is not the platform. */
    private const MOST_BYTES = 4 * 1024 * 1024;

    private static int $lastVersion = 0;
    private readonly string $base;
    private readonly bool $plain;

    /**
     * @param bool $allowHttpOnLoopback only for tests and for a platform on the very same machine; any other address is
     *                                  refused without TLS whatever this says
     */
    public function __construct(string $address, private readonly string $token, bool $allowHttpOnLoopback = false)
    {
        $parts = parse_url(trim($address));
        $scheme = strtolower($parts['scheme'] ?? '');
        $host = strtolower($parts['host'] ?? '');
        if ($host === '' || !in_array($scheme, ['https', 'http'], true) || isset($parts['user']) || isset($parts['query'])) {
            throw new BillingException('The address of the platform must look like https://portal.example.com.');
        }
        $loopback = in_array($host, ['127.0.0.1', '[::1]', 'localhost'], true);
        if ($scheme === 'http' && !($allowHttpOnLoopback && $loopback)) {
            throw new BillingException('The address of the platform must begin with https://, so that nobody reads the token on its way.');
        }
        // The platform would refuse anything else, and a line end must not get into a header.
        if (preg_match('/\Ajstb_[A-Za-z0-9_-]{43}[0-9a-f]{6}\z/', $token) !== 1) {
            throw new BillingException('The token must be one of a billing system. It begins with jstb_ and is made on the page Billing systems of the administration.');
        }
        $port = isset($parts['port']) ? ':' . $parts['port'] : '';
        $this->base = $scheme . '://' . $host . $port . rtrim($parts['path'] ?? '', '/') . '/billing/v1';
        $this->plain = $scheme === 'http';
    }

    /** The number of a decision that is made now: above every number that this process gave before. */
    public static function version(): int
    {
        self::$lastVersion = max(self::$lastVersion + 1, (int) floor(microtime(true) * 1000));

        return self::$lastVersion;
    }

    /** @return array{system: string, scopes: list<string>} */
    public function ping(): array
    {
        return $this->request('GET', '/ping');
    }

    /** Fails unless the token can do all that a module does. */
    public function test(): void
    {
        $missing = array_diff(['read', 'provision', 'terminate', 'sso'], $this->ping()['scopes'] ?? []);
        if ($missing !== []) {
            throw new BillingException('The token lacks these scopes: ' . implode(', ', $missing) . '.');
        }
    }

    /** @return array<string, string> slug => name */
    public function plans(): array
    {
        return array_column($this->request('GET', '/plans')['items'], 'name_en', 'slug');
    }

    /** @return array<string, string> slug => name */
    public function images(): array
    {
        return array_column($this->request('GET', '/images')['items'], 'name', 'slug');
    }

    public function stock(string $plan): int
    {
        return (int) $this->request('GET', '/stock?' . http_build_query(['plan' => $plan]))['available'];
    }

    /**
     * Orders a service, or finds it ordered already.
     *
     * @param array{owner: array<string, string>, plan: string, image: string, hostname?: string, ssh_keys?: list<string>} $order
     */
    public function order(string $reference, array $order, bool $dryRun = false): array
    {
        $service = $this->request(
            'PUT',
            $this->path($reference) . ($dryRun ? '?dry_run=true' : ''),
            $order + ['entitlement_version' => self::version()],
        );
        if (($service['state'] ?? '') === 'failed') {
            throw new BillingException('The instance could not be made. Terminate the service and order it again, or look at the instance in the administration of the platform.');
        }
        if (($service['entitlement'] ?? 'active') === 'terminated') {
            throw new BillingException('The service is terminated.');
        }

        return $service;
    }

    /** Null where there is none. */
    public function service(string $reference): ?array
    {
        try {
            return $this->request('GET', $this->path($reference));
        } catch (BillingException $error) {
            if ($error->status === 404) {
                return null;
            }
            throw $error;
        }
    }

    public function suspend(string $reference, string $serviceId): array
    {
        return $this->decide($reference, 'suspend', $serviceId);
    }

    public function unsuspend(string $reference, string $serviceId): array
    {
        return $this->decide($reference, 'unsuspend', $serviceId);
    }

    public function renew(string $reference, string $serviceId): array
    {
        return $this->decide($reference, 'renew', $serviceId);
    }

    /** Names the service itself, so that a reference that is used again is never terminated by mistake. */
    public function terminate(string $reference, string $serviceId): void
    {
        if ($serviceId === '') {
            // Nothing was ever noted of it.  Where the platform knows nothing either, there is nothing to end.
            if ($this->service($reference) === null) {
                return;
            }
            throw new BillingException('The platform has a service under this reference, but its id is not known here. Nothing was terminated.');
        }
        $this->decide($reference, 'terminate', $serviceId);
    }

    public function undoTerminate(string $reference, string $serviceId): array
    {
        return $this->decide($reference, 'undo-terminate', $serviceId);
    }

    public function changePlan(string $reference, string $serviceId, string $plan): array
    {
        return $this->decide($reference, 'change-plan', $serviceId, ['plan' => $plan]);
    }

    /** The owner gets a mail for choosing a password. */
    public function resetPassword(string $reference): void
    {
        $this->request('POST', $this->path($reference) . '/reset-password', []);
    }

    /** An address that signs the owner in once, within a minute. */
    public function signOn(string $reference): string
    {
        $url = (string) $this->request('POST', $this->path($reference) . '/sso', [])['url'];
        if (preg_match('#\Ahttps?://#', $url) !== 1) {
            throw new BillingException('The platform gave no address to sign in at.');
        }

        return $url;
    }

    /** @return \Generator<array> what each service used since then */
    public function usage(\DateTimeInterface $since): \Generator
    {
        return $this->pages('/usage', ['since' => gmdate('Y-m-d\TH:i:s\Z', $since->getTimestamp())]);
    }

    /** @return \Generator<array> */
    public function services(): \Generator
    {
        return $this->pages('/services', []);
    }

    private function pages(string $path, array $query): \Generator
    {
        $query['limit'] = 100;
        do {
            $page = $this->request('GET', $path . '?' . http_build_query($query));
            yield from $page['items'];
            $query['cursor'] = $page['next_cursor'] ?? null;
        } while ($query['cursor'] !== null);
    }

    private function decide(string $reference, string $action, string $serviceId, array $more = []): array
    {
        if ($serviceId === '') {
            throw new BillingException('The id of the service is not known here. Was it created?');
        }
        $body = $more + ['entitlement_version' => self::version(), 'service_id' => $serviceId];
        $service = $this->request('POST', $this->path($reference) . '/' . $action, $body);
        // The platform answers an older decision with what is in force.  That is no success of this one.
        $asked = match ($action) {
            'suspend' => ['entitlement' => 'suspended'],
            'terminate' => ['entitlement' => 'terminated'],
            'change-plan' => ['plan' => $more['plan']],
            default => ['entitlement' => 'active'],
        };
        if (array_intersect_key($service, $asked) !== $asked) {
            throw new BillingException('A later decision is in force at the platform, where the service is ' . ($service['entitlement'] ?? 'unknown') . ' with the plan ' . ($service['plan'] ?? 'unknown') . '. Is the clock of this machine right?');
        }

        return $service;
    }

    private function path(string $reference): string
    {
        return '/services/' . rawurlencode($reference);
    }

    private function request(string $method, string $path, ?array $body = null): array
    {
        $headers = ['Authorization: Bearer ' . $this->token, 'Accept: application/json', 'Accept-Language: en'];
        $received = '';
        $options = [
            CURLOPT_URL => $this->base . $path,
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_PROTOCOLS => $this->plain ? CURLPROTO_HTTP : CURLPROTO_HTTPS,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_SSL_VERIFYPEER => true,
            CURLOPT_SSL_VERIFYHOST => 2,
            CURLOPT_CONNECTTIMEOUT => self::CONNECT_SECONDS,
            CURLOPT_TIMEOUT => self::SECONDS,
            CURLOPT_NOPROXY => '127.0.0.1,::1,localhost',
            CURLOPT_USERAGENT => 'jinshitong-billing-module/1',
            CURLOPT_WRITEFUNCTION => function ($curl, string $piece) use (&$received): int {
                $received .= $piece;

                return strlen($received) > self::MOST_BYTES ? 0 : strlen($piece);
            },
        ];
        if ($body !== null) {
            $headers[] = 'Content-Type: application/json';
            // The same request is sent once by us; the key lets whatever stands between repeat it harmlessly.
            if ($method === 'POST') {
                $headers[] = 'Idempotency-Key: ' . bin2hex(random_bytes(16));
            }
            $options[CURLOPT_POSTFIELDS] = json_encode((object) $body, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
        }
        $options[CURLOPT_HTTPHEADER] = $headers;
        $curl = curl_init();
        curl_setopt_array($curl, $options);
        $done = curl_exec($curl);
        $status = (int) curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        $failure = curl_error($curl);
        curl_close($curl);
        if ($done === false) {
            throw new BillingException('The platform cannot be reached: ' . ($failure !== '' ? $failure : 'no answer') . '.');
        }
        if ($status === 204) {
            return [];
        }
        $answer = json_decode($received, true);
        if ($status < 200 || $status > 299) {
            throw self::refusal($status, is_array($answer) ? $answer : []);
        }
        if (!is_array($answer)) {
            throw new BillingException('The platform gave an answer that cannot be read.', $status);
        }

        return $answer;
    }

    private static function refusal(int $status, array $problem): BillingException
    {
        $words = (string) ($problem['detail'] ?? $problem['title'] ?? '');
        foreach ($problem['errors'] ?? [] as $error) {
            $words .= ' ' . ($error['field'] ?? '') . ': ' . ($error['detail'] ?? $error['code'] ?? '');
        }
        $words = trim($words) === '' ? 'The platform refused this with status ' . $status . '.' : trim($words);

        return new BillingException($words, $status, (string) ($problem['code'] ?? ''));
    }
}
