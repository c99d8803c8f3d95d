<?php

/** Stands in for FOSSBilling: a service module with its container, orders and beans; what fails throws. */

declare(strict_types=1);

namespace Pimple {
    class Container implements \ArrayAccess
    {
        public function __construct(private array $values)
        {
        }

        public function offsetExists(mixed $key): bool { return isset($this->values[$key]); }
        public function offsetGet(mixed $key): mixed { return $this->values[$key]; }
        public function offsetSet(mixed $key, mixed $value): void { $this->values[$key] = $value; }
        public function offsetUnset(mixed $key): void { unset($this->values[$key]); }
    }
}

namespace FOSSBilling {
    interface InjectionAwareInterface
    {
        public function setDi(\Pimple\Container $di): void;
        public function getDi(): ?\Pimple\Container;
    }

    class Exception extends \Exception
    {
    }

    class InformationException extends Exception
    {
    }
}

namespace {
    use Box\Mod\Servicejinshitong\Service;

    class Model_Product
    {
        public ?string $config = '{"plan":"small","image":"test"}';
    }

    class Model_ClientOrder
    {
        public int $client_id = 9;
        public array $config = [];
        public ?object $service = null;

        public function __construct(public int $id)
        {
        }
    }

    final class Fossbilling implements Host
    {
        private Service $module;
        /** @var array<int, Model_ClientOrder> */
        private array $orders = [];

        public function __construct()
        {
            $this->module = new Service();
        }

        public function configure(string $address, string $token, bool $allowHttpOnLoopback): void
        {
            $config = ['host' => $address, 'token' => $token, 'allow_http_on_loopback' => $allowHttpOnLoopback];
            $orders = new class {
                public function getConfig(Model_ClientOrder $order): array { return $order->config; }
                public function getOrderService(Model_ClientOrder $order): ?object { return $order->service; }
            };
            $database = new class {
                public function dispense(string $type): object { return (object) ['type' => $type]; }
                public function store(object $bean): int { return 1; }
                public function trash(object $bean): void {}
                public function load(string $type, int $id): object
                {
                    return (object) ['id' => $id, 'email' => 'fossbilling@example.com', 'first_name' => 'Lin', 'last_name' => 'Wen', 'lang' => 'zh_CN'];
                }
            };
            $this->module->setDi(new Pimple\Container([
                'db' => $database,
                'mod_config' => static fn (string $name) => $name === 'Servicejinshitong' ? $config : [],
                'mod_service' => static fn (string $name) => $orders,
            ]));
        }

        private function call(string $action, int $id): ?string
        {
            try {
                $said = $this->module->{$action}($this->order($id));
            } catch (Exception $error) {
                return $error->getMessage();
            }
            check($said === true, "$action gives true");

            return null;
        }

        private function order(int $id): Model_ClientOrder
        {
            if (!isset($this->orders[$id])) {
                $order = new Model_ClientOrder($id);
                $order->config = $this->module->attachOrderConfig(new Model_Product(), ['hostname' => "vps$id"]);
                $this->orders[$id] = $order;
            }

            return $this->orders[$id];
        }

        public function test(): ?string
        {
            try {
                $this->module->testConnection();

                return null;
            } catch (Exception $error) {
                return $error->getMessage();
            }
        }

        /** An order is created once and may be activated again. */
        public function create(int $service): ?string
        {
            $order = $this->order($service);
            $order->service ??= $this->module->action_create($order);

            return $this->call('action_activate', $service);
        }

        public function suspend(int $service): ?string { return $this->call('action_suspend', $service); }
        public function unsuspend(int $service): ?string { return $this->call('action_unsuspend', $service); }
        public function renew(int $service): ?string { return $this->call('action_renew', $service); }
        public function terminate(int $service): ?string { return $this->call('action_cancel', $service); }
        public function undoTerminate(int $service): ?string { return $this->call('action_uncancel', $service); }

        public function changePlan(int $service, string $plan): ?string
        {
            try {
                $this->module->changePlan($this->order($service), $plan);
                $this->orders[$service]->config['plan'] = $plan;

                return null;
            } catch (Exception $error) {
                return $error->getMessage();
            }
        }

        public function signOn(int $service, ?string &$problem): ?string
        {
            try {
                return $this->module->signOn($this->order($service));
            } catch (Exception $error) {
                $problem = $error->getMessage();

                return null;
            }
        }

        public function usage(int $service, ?string &$problem): ?array
        {
            try {
                $used = $this->module->usage(new DateTimeImmutable('-1 day'))[$service];
            } catch (Exception $error) {
                $problem = $error->getMessage();

                return null;
            }

            return ['bytes' => $used['traffic_in_bytes'] + $used['traffic_out_bytes']];
        }

        public function reference(int $service): string { return "fossbilling-$service"; }
        public function keptId(int $service): string { return (string) ($this->orders[$service]->service->service_id ?? ''); }
        public function keepId(int $service, string $id): void { $this->orders[$service]->service->service_id = $id; }
        public function forget(int $service): void { unset($this->orders[$service]); }
    }

    function host(string $packed): Host
    {
        require $packed . '/fossbilling/modules/Servicejinshitong/Service.php';

        return new Fossbilling();
    }
}
