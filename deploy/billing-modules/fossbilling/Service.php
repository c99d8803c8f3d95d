<?php

/**
 * FOSSBilling: modules/Servicejinshitong, a product type of its own.
 *
 * Each action throws where the platform did not do what was asked; FOSSBilling then leaves the order as it is.
 */

declare(strict_types=1);

namespace Box\Mod\Servicejinshitong;

use FOSSBilling\InjectionAwareInterface;
use Jinshitong\Billing\BillingClient;

require_once __DIR__ . '/BillingClient.php';

class Service implements InjectionAwareInterface
{
    protected ?\Pimple\Container $di = null;

    public function setDi(\Pimple\Container $di): void
    {
        $this->di = $di;
    }

    public function getDi(): ?\Pimple\Container
    {
        return $this->di;
    }

    public function install(): bool
    {
        $this->di['db']->exec('CREATE TABLE IF NOT EXISTS `service_jinshitong` (
            `id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, `client_id` bigint NOT NULL, `order_id` bigint NOT NULL,
            `service_id` varchar(64) NULL, `hostname` varchar(255) NULL, `addresses` text NULL,
            `created_at` datetime NULL, `updated_at` datetime NULL
        ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4');

        return true;
    }

    /** The ids of services stay: without them nothing could be terminated any more. */
    public function uninstall(): bool
    {
        return true;
    }

    public function attachOrderConfig(\Model_Product $product, array $data): array
    {
        $config = json_decode($product->config ?? '', true);

        return array_merge(is_array($config) ? $config : [], $data);
    }

    public function validateOrderData(array &$data): bool
    {
        foreach (['plan', 'image'] as $name) {
            if (trim((string) ($data[$name] ?? '')) === '') {
                throw new \FOSSBilling\InformationException('The product has no ' . $name . '.');
            }
        }

        return true;
    }

    public function action_create(\Model_ClientOrder $order)
    {
        $config = $this->config($order);
        $this->validateOrderData($config);
        $model = $this->di['db']->dispense('ServiceJinshitong');
        $model->client_id = $order->client_id;
        $model->order_id = $order->id;
        $model->hostname = $config['hostname'] ?? '';
        $model->created_at = date('Y-m-d H:i:s');
        $model->updated_at = date('Y-m-d H:i:s');
        $this->di['db']->store($model);

        return $model;
    }

    public function action_activate(\Model_ClientOrder $order): bool
    {
        $model = $this->model($order);
        $config = $this->config($order);
        $client = $this->di['db']->load('Client', $order->client_id);
        $key = trim((string) ($config['ssh_key'] ?? ''));
        $service = $this->client()->order($this->reference($order), [
            'owner' => [
                'reference' => 'fossbilling-client-' . $order->client_id,
                'email' => (string) $client->email,
                'name' => trim($client->first_name . ' ' . $client->last_name),
                'locale' => str_starts_with((string) ($client->lang ?? ''), 'zh') ? 'zh-CN' : 'en',
            ],
            'plan' => (string) $config['plan'],
            'image' => (string) $config['image'],
            'hostname' => (string) ($config['hostname'] ?? ''),
            'ssh_keys' => $key === '' ? [] : [$key],
        ]);
        $model->service_id = $service['id'];
        $model->addresses = implode("\n", $service['addresses'] ?? []);
        $this->store($model);

        return true;
    }

    public function action_renew(\Model_ClientOrder $order): bool
    {
        $this->client()->renew($this->reference($order), $this->id($order));

        return true;
    }

    public function action_suspend(\Model_ClientOrder $order): bool
    {
        $this->client()->suspend($this->reference($order), $this->id($order));

        return true;
    }

    public function action_unsuspend(\Model_ClientOrder $order): bool
    {
        $this->client()->unsuspend($this->reference($order), $this->id($order));

        return true;
    }

    public function action_cancel(\Model_ClientOrder $order): bool
    {
        $this->client()->terminate($this->reference($order), $this->id($order));

        return true;
    }

    public function action_uncancel(\Model_ClientOrder $order): bool
    {
        $this->client()->undoTerminate($this->reference($order), $this->id($order));

        return true;
    }

    public function action_delete(\Model_ClientOrder $order): void
    {
        $model = $this->di['mod_service']('order')->getOrderService($order);
        if ($model === null) {
            return;
        }
        $this->client()->terminate($this->reference($order), (string) ($model->service_id ?? ''));
        $this->di['db']->trash($model);
    }

    /** FOSSBilling has no action for another plan; its product is changed and this is called. */
    public function changePlan(\Model_ClientOrder $order, string $plan): bool
    {
        $this->client()->changePlan($this->reference($order), $this->id($order), $plan);

        return true;
    }

    /** Where the browser of the customer is sent. */
    public function signOn(\Model_ClientOrder $order): string
    {
        return $this->client()->signOn($this->reference($order));
    }

    public function testConnection(): bool
    {
        $this->client()->test();

        return true;
    }

    /** @return array<int, array> what each order used since then */
    public function usage(\DateTimeInterface $since): array
    {
        $used = [];
        foreach ($this->client()->usage($since) as $usage) {
            if (preg_match('/\Afossbilling-(\d+)\z/', $usage['external_ref'], $found) === 1) {
                $used[(int) $found[1]] ??= $usage;
            }
        }

        return $used;
    }

    /** Templates of FOSSBilling escape what they show. */
    public function toApiArray($model, $deep = false, $identity = null): array
    {
        return ['id' => $model->id, 'hostname' => $model->hostname, 'addresses' => explode("\n", (string) $model->addresses)];
    }

    private function client(): BillingClient
    {
        $config = $this->di['mod_config']('Servicejinshitong');

        return new BillingClient((string) ($config['host'] ?? ''), (string) ($config['token'] ?? ''), (bool) ($config['allow_http_on_loopback'] ?? false));
    }

    private function config(\Model_ClientOrder $order): array
    {
        return $this->di['mod_service']('order')->getConfig($order);
    }

    private function model(\Model_ClientOrder $order)
    {
        $model = $this->di['mod_service']('order')->getOrderService($order);
        if ($model === null) {
            throw new \FOSSBilling\Exception('The order has no service yet. Create it first.');
        }

        return $model;
    }

    private function store($model): void
    {
        $model->updated_at = date('Y-m-d H:i:s');
        $this->di['db']->store($model);
    }

    private function reference(\Model_ClientOrder $order): string
    {
        return 'fossbilling-' . $order->id;
    }

    private function id(\Model_ClientOrder $order): string
    {
        return (string) ($this->model($order)->service_id ?? '');
    }
}
