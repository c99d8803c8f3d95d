<?php

/** Stands in for Paymenter: an extension class, with models of services and users; what fails throws. */

declare(strict_types=1);

namespace App\Classes\Extension {
    class Server
    {
        public function __construct(public array $config = [])
        {
        }

        public function config(string $key): mixed
        {
            return $this->config[$key] ?? null;
        }
    }
}

namespace App\Models {
    final class Service
    {
        public object $user;
        public array $kept = [];

        public function __construct(public int $id)
        {
            $this->user = (object) ['id' => 5, 'email' => 'paymenter@example.com', 'name' => 'Lin Wen'];
        }

        /** The relation, as far as extensions use it. */
        public function properties(): object
        {
            return new class ($this) {
                public function __construct(private Service $service)
                {
                }

                public function updateOrCreate(array $key, array $values): void
                {
                    $this->service->kept[$key['key']] = $values['value'];
                }
            };
        }
    }
}

namespace {
    use App\Models\Service;
    use Paymenter\Extensions\Servers\Jinshitong\Jinshitong;

    final class Paymenter implements Host
    {
        private Jinshitong $extension;
        private array $settings = ['plan' => 'small', 'image' => 'test'];
        /** @var array<int, Service> */
        private array $services = [];

        public function configure(string $address, string $token, bool $allowHttpOnLoopback): void
        {
            $this->extension = new Jinshitong(['host' => $address, 'token' => $token, 'allow_http_on_loopback' => $allowHttpOnLoopback]);
        }

        private function call(string $function, int $id): ?string
        {
            $service = $this->services[$id] ??= new Service($id);
            $properties = ['hostname' => "vps$id"] + $service->kept;
            try {
                $said = $this->extension->{$function}($service, $this->settings, $properties);
            } catch (Exception $error) {
                return $error->getMessage();
            }
            check($said !== false && $said !== null, "$function gives what stands for success");

            return null;
        }

        public function test(): ?string
        {
            $said = $this->extension->testConfig();

            return $said === true ? null : $said;
        }

        public function create(int $service): ?string { return $this->call('createServer', $service); }
        public function suspend(int $service): ?string { return $this->call('suspendServer', $service); }
        public function unsuspend(int $service): ?string { return $this->call('unsuspendServer', $service); }
        public function renew(int $service): ?string { return $this->call('renewServer', $service); }
        public function terminate(int $service): ?string { return $this->call('terminateServer', $service); }
        public function undoTerminate(int $service): ?string { return $this->call('undoTerminateServer', $service); }

        public function changePlan(int $service, string $plan): ?string
        {
            $this->settings['plan'] = $plan;

            return $this->call('upgradeServer', $service);
        }

        public function signOn(int $service, ?string &$problem): ?string
        {
            $action = $this->extension->getActions($this->services[$service], $this->settings, [])[0];
            try {
                return $this->extension->{$action['function']}($this->services[$service]);
            } catch (Exception $error) {
                $problem = $error->getMessage();

                return null;
            }
        }

        public function usage(int $service, ?string &$problem): ?array
        {
            try {
                $used = $this->extension->getUsage(new DateTimeImmutable('-1 day'))[$service];
            } catch (Exception $error) {
                $problem = $error->getMessage();

                return null;
            }

            return ['bytes' => $used['traffic_in_bytes'] + $used['traffic_out_bytes']];
        }

        public function reference(int $service): string { return "paymenter-$service"; }
        public function keptId(int $service): string { return $this->services[$service]->kept['jinshitong_service_id'] ?? ''; }
        public function keepId(int $service, string $id): void { $this->services[$service]->kept['jinshitong_service_id'] = $id; }
        public function forget(int $service): void { unset($this->services[$service]); $this->settings['plan'] = 'small'; }
    }

    function host(string $packed): Host
    {
        require $packed . '/paymenter/extensions/Servers/Jinshitong/Jinshitong.php';
        check(is_array((new Jinshitong())->getConfig()), 'Paymenter finds its configuration');

        return new Paymenter();
    }
}
