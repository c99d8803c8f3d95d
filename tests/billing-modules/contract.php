<?php

/**
 * The one contract that every module fulfils, against a running platform.
 *
 *   JST_URL=http://127.0.0.1:PORT JST_TOKEN=jstb_… php contract.php MODULE PACKED-DIRECTORY
 *
 * Each host file (hosts/MODULE.php) stands in for the entry points that the billing system documents, and maps the steps
 * below to them.  Nothing of a billing system is here; nothing of the platform's is in the host files.
 */

declare(strict_types=1);

use Jinshitong\Billing\BillingClient;
use Jinshitong\Billing\BillingException;

/** A billing system with one product and one customer, as its module sees it. */
interface Host
{
    /** Where the platform is, and with which token. */
    public function configure(string $address, string $token, bool $allowHttpOnLoopback): void;

    /** Each of these gives null, or what went wrong in words. */
    public function test(): ?string;
    public function create(int $service): ?string;
    public function suspend(int $service): ?string;
    public function unsuspend(int $service): ?string;
    public function renew(int $service): ?string;
    public function changePlan(int $service, string $plan): ?string;
    public function terminate(int $service): ?string;
    public function undoTerminate(int $service): ?string;

    /** An address, or null with the words. */
    public function signOn(int $service, ?string &$problem): ?string;

    /** Bytes and seconds of a service, or null with the words. */
    public function usage(int $service, ?string &$problem): ?array;

    public function reference(int $service): string;

    /** What the billing system keeps of a service, and putting something else there. */
    public function keptId(int $service): string;
    public function keepId(int $service, string $id): void;

    /** Puts a service into the state in which it can be created anew under its reference. */
    public function forget(int $service): void;
}

function check(bool $good, string $what): void
{
    if (!$good) {
        fwrite(STDERR, "NOT SO: $what\n");
        exit(1);
    }
    echo "  $what\n";
}

/** Waits until the platform says so of a service. */
function until(BillingClient $client, string $reference, string $what, callable $holds): array
{
    $end = microtime(true) + 30;
    do {
        $service = $client->service($reference);
        if ($service !== null && $holds($service)) {
            check(true, $what);

            return $service;
        }
        usleep(150_000);
    } while (microtime(true) < $end);
    check(false, $what . ', but: ' . json_encode($service));
    exit(1);
}

[, $module, $packed] = $argv;
$url = getenv('JST_URL');
$token = getenv('JST_TOKEN');
require __DIR__ . '/hosts/' . $module . '.php';
$host = host($packed);
$host->configure($url, $token, true);
$client = new BillingClient($url, $token, true);

/** Null is what success is; anything else must be words. */
$good = static fn (?string $said, string $what) => check($said === null, $what . ($said === null ? '' : ': ' . $said));
$words = static fn (?string $said, string $what) => check(is_string($said) && preg_match('/[a-z]+ [a-z]+/i', $said) === 1, $what . ': ' . var_export($said, true));
$running = static fn (array $service) => $service['state'] === 'running';

$good($host->test(), 'the connection is tested');
$good($host->create(1), 'a service is created');
$reference = $host->reference(1);
$first = until($client, $reference, 'it runs', $running);
check($host->keptId(1) === $first['id'], 'the id of the service is kept');
check(count($first['addresses']) > 0, 'it has an address');
$good($host->create(1), 'creating it again is harmless');
check($client->service($reference)['id'] === $first['id'], 'and makes no second one');

$good($host->suspend(1), 'it is suspended');
until($client, $reference, 'it is stopped', static fn (array $service) => $service['entitlement'] === 'suspended' && $service['state'] === 'stopped');
$good($host->suspend(1), 'suspending it again is harmless');
$good($host->unsuspend(1), 'it is released');
until($client, $reference, 'it runs again', $running);
$good($host->suspend(1), 'it is suspended once more');
$good($host->renew(1), 'it is renewed');
until($client, $reference, 'what is paid for runs', static fn (array $service) => $service['entitlement'] === 'active' && $running($service));

$good($host->changePlan(1, 'large'), 'its plan is changed');
until($client, $reference, 'it has the plan', static fn (array $service) => $service['plan'] === 'large');

$problem = null;
$address = $host->signOn(1, $problem);
check(is_string($address) && preg_match('#^https?://[^/]+/sso\?token=[0-9a-f]{64}$#', $address) === 1, 'its owner is let in: ' . ($problem ?? 'an address'));
echo 'SIGN-ON ' . parse_url($address, PHP_URL_PATH) . '?' . parse_url($address, PHP_URL_QUERY) . "\n";
$used = $host->usage(1, $problem);
check(is_array($used) && $used['bytes'] >= 0, 'its usage is known: ' . ($problem ?? json_encode($used)));

$good($host->terminate(1), 'it is terminated');
until($client, $reference, 'it is kept for a while', static fn (array $service) => $service['entitlement'] === 'terminated' && $service['terminate_at'] !== null);
$good($host->undoTerminate(1), 'the termination is undone');
until($client, $reference, 'it is back', static fn (array $service) => $service['entitlement'] === 'active' && $running($service));

// The failure that deleted another customer's server: a job of yesterday with a number that is used again.
$good($host->terminate(1), 'it is terminated for good');
$host->forget(1);
$good($host->create(1), 'the reference is used again');
$second = until($client, $host->reference(1), 'another service runs', $running);
check($second['id'] !== $first['id'] && $second['instance_id'] !== $first['instance_id'], 'it is another one');
$host->keepId(1, $first['id']);
$words($host->terminate(1), 'a late termination of the first one is refused in words');
$words($host->suspend(1), 'and so is a late suspension');
$still = $client->service($host->reference(1));
check($still['entitlement'] === 'active' && $still['state'] === 'running', 'the second one is untouched');
$host->keepId(1, $second['id']);

// What is answered with something else is no success either: here a decision that was made an hour ahead.
$ahead = ['entitlement_version' => BillingClient::version() + 3_600_000];
(new ReflectionMethod($client, 'request'))->invoke($client, 'POST', '/services/' . rawurlencode($host->reference(1)) . '/unsuspend', $ahead);
foreach (['suspend', 'terminate'] as $call) {
    $words($host->{$call}(1), "$call says that a later decision is in force");
}
check($client->service($host->reference(1))['entitlement'] === 'active', 'which it is');

// Nothing but the truth when the platform is not there.  Nobody listens on the port of discard.
$host->configure('http://127.0.0.1:9', $token, true);
foreach (['test', 'create', 'suspend', 'unsuspend', 'renew', 'terminate', 'undoTerminate'] as $call) {
    $words($call === 'test' ? $host->test() : $host->{$call}(1), "$call says that the platform cannot be reached");
}
$words($host->changePlan(1, 'small'), 'changePlan says that the platform cannot be reached');
$problem = null;
check($host->signOn(1, $problem) === null, 'nobody is let in');
$words($problem, 'and it says why');
$problem = null;
check($host->usage(1, $problem) === null, 'no usage is invented');
$words($problem, 'and it says why');

// Nor is the token shown to whoever listens.
$host->configure('http://192.0.2.1', $token, true);
$said = $host->test();
check(is_string($said) && str_contains($said, 'https'), 'no address but this machine is spoken to without TLS: ' . var_export($said, true));
$host->configure($url, $token, false);
$words($host->test(), 'and this machine only where it is allowed');
$host->configure(getenv('JST_UNTRUSTED'), $token, true);
$said = $host->test();
check(is_string($said) && stripos($said, 'certificate') !== false, 'a certificate that nobody vouches for is refused: ' . var_export($said, true));
$host->configure($url, substr($token, 0, -1) . ($token[-1] === '0' ? '1' : '0'), true);
$words($host->test(), 'a wrong token is refused in words');

echo "FULFILLED\n";
