<?php

/**
 * Paymenter: extensions/Servers/Jinshitong.
 *
 * Every function throws where the platform did not do what was asked, so that Paymenter never takes a failure for a success.
 */

declare(strict_types=1);

namespace Paymenter\Extensions\Servers\Jinshitong;

use App\Classes\Extension\Server;
use App\Models\Service;
use Jinshitong\Billing\BillingClient;
use Jinshitong\Billing\BillingException;

require_once __DIR__ . '/BillingClient.php';

class Jinshitong extends Server
{
    private const SERVICE_ID = 'jinshitong_service_id';

    public function getConfig($values = []): array
    {
        return [
            ['name' => 'host', 'type' => 'text', 'label' => 'Address of the portal', 'placeholder' => 'https://portal.example.com', 'required' => true, 'validation' => 'url'],
            ['name' => 'token', 'type' => 'password', 'label' => 'Token of the billing system', 'required' => true, 'encrypted' => true],
            ['name' => 'allow_http_on_loopback', 'type' => 'checkbox', 'label' => 'Allow http to this very machine', 'required' => false],
        ];
    }

    public function getProductConfig($values = []): array
    {
        $client = $this->client();

        return [
            ['name' => 'plan', 'type' => 'select', 'label' => 'Plan', 'required' => true, 'options' => $client->plans()],
            ['name' => 'image', 'type' => 'select', 'label' => 'Image, unless the customer chooses one', 'required' => true, 'options' => $client->images()],
        ];
    }

    public function getCheckoutConfig($product = null, $values = [], $settings = []): array
    {
        return [
            ['name' => 'hostname', 'type' => 'text', 'label' => 'Host name', 'required' => true, 'validation' => 'max:253'],
            ['name' => 'image', 'type' => 'select', 'label' => 'Image', 'required' => true, 'options' => $this->client()->images()],
            ['name' => 'ssh_key', 'type' => 'text', 'label' => 'SSH key', 'required' => false],
        ];
    }

    public function testConfig(): bool|string
    {
        try {
            $this->client()->test();
        } catch (BillingException $error) {
            return $error->getMessage();
        }

        return true;
    }

    public function createServer(Service $service, $settings, $properties)
    {
        $key = trim((string) ($properties['ssh_key'] ?? ''));
        $made = $this->client()->order($this->reference($service), [
            'owner' => [
                'reference' => 'paymenter-user-' . $service->user->id,
                'email' => (string) $service->user->email,
                'name' => (string) $service->user->name,
            ],
            'plan' => (string) $settings['plan'],
            'image' => (string) ($properties['image'] ?? $settings['image']),
            'hostname' => (string) ($properties['hostname'] ?? ''),
            'ssh_keys' => $key === '' ? [] : [$key],
        ]);
        $service->properties()->updateOrCreate(['key' => self::SERVICE_ID], ['name' => 'Jinshitong service id', 'value' => $made['id']]);

        return $made;
    }

    public function suspendServer(Service $service, $settings, $properties)
    {
        $this->client()->suspend($this->reference($service), $this->id($properties));

        return true;
    }

    public function unsuspendServer(Service $service, $settings, $properties)
    {
        $this->client()->unsuspend($this->reference($service), $this->id($properties));

        return true;
    }

    public function terminateServer(Service $service, $settings, $properties)
    {
        $this->client()->terminate($this->reference($service), $this->id($properties));

        return true;
    }

    public function upgradeServer(Service $service, $settings, $properties)
    {
        $this->client()->changePlan($this->reference($service), $this->id($properties), (string) $settings['plan']);

        return true;
    }

    /** Paymenter has no call for a renewal; a listener of its InvoicePaid event may call this one. */
    public function renewServer(Service $service, $settings, $properties)
    {
        $this->client()->renew($this->reference($service), $this->id($properties));

        return true;
    }

    /** For staff, within the grace period. */
    public function undoTerminateServer(Service $service, $settings, $properties)
    {
        $this->client()->undoTerminate($this->reference($service), $this->id($properties));

        return true;
    }

    public function getActions(Service $service, $settings, $properties): array
    {
        return [['type' => 'button', 'label' => 'Open the portal', 'function' => 'openPortal']];
    }

    /** Where the browser of the customer is sent. */
    public function openPortal(Service $service, $settings = [], $properties = []): string
    {
        return $this->client()->signOn($this->reference($service));
    }

    /** @return array<int, array> what each service used since then, by the id of the service */
    public function getUsage(\DateTimeInterface $since): array
    {
        $used = [];
        foreach ($this->client()->usage($since) as $usage) {
            if (preg_match('/\Apaymenter-(\d+)\z/', $usage['external_ref'], $found) === 1) {
                $used[(int) $found[1]] ??= $usage;
            }
        }

        return $used;
    }

    private function client(): BillingClient
    {
        return new BillingClient((string) $this->config('host'), (string) $this->config('token'), (bool) $this->config('allow_http_on_loopback'));
    }

    private function reference(Service $service): string
    {
        return 'paymenter-' . $service->id;
    }

    private function id($properties): string
    {
        return (string) ($properties[self::SERVICE_ID] ?? '');
    }
}
