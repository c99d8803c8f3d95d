<?php

/** Stands in for WHMCS: functions of one file with an array of parameters, 'success' or words. */

declare(strict_types=1);

namespace WHMCS\Database {
    /** What the module writes into WHMCS's tables. */
    final class Capsule
    {
        /** @var list<array> */
        public static array $written = [];
        private array $where = [];

        public static function table(string $table): self
        {
            $query = new self();
            $query->where['table'] = $table;

            return $query;
        }

        public function where(string $column, mixed $value): self
        {
            $this->where[$column] = $value;

            return $this;
        }

        public function update(array $values): int
        {
            self::$written[] = $this->where + $values;

            return 1;
        }
    }
}

namespace {
    const WHMCS = true;

    /** Secrets are hidden from the log by being named. */
    function logModuleCall(string $module, string $action, mixed $request, mixed $response, mixed $processed = '', array $hide = []): void
    {
        if (!in_array(getenv('JST_TOKEN'), $hide, true) && !in_array(true, array_map(static fn ($text) => str_starts_with((string) $text, 'jstb_'), $hide), true)) {
            throw new LogicException("$action logs without hiding the token");
        }
    }

    final class Properties
    {
        public array $values = [];

        public function save(array $values): void
        {
            $this->values = $values + $this->values;
        }

        public function get(string $name): string
        {
            return (string) ($this->values[$name] ?? '');
        }
    }

    final class Whmcs implements Host
    {
        private array $server = [];
        private string $plan = 'small';
        /** @var array<int, object{serviceProperties: Properties}> */
        private array $models = [];

        public function configure(string $address, string $token, bool $allowHttpOnLoopback): void
        {
            $parts = parse_url($address);
            $this->server = [
                'serverid' => 7, 'serverhostname' => $parts['host'], 'serverport' => (string) ($parts['port'] ?? ''),
                'serversecure' => $parts['scheme'] === 'http' && $allowHttpOnLoopback ? '' : 'on', 'serverpassword' => $token,
            ];
        }

        private function params(int $service): array
        {
            $this->models[$service] ??= (object) ['serviceProperties' => new Properties()];

            return $this->server + [
                'serviceid' => $service, 'userid' => 3, 'domain' => "vps$service.example.com", 'model' => $this->models[$service],
                'configoption1' => $this->plan, 'configoption2' => 'test', 'configoptions' => [], 'customfields' => [],
                'clientsdetails' => ['userid' => 3, 'email' => 'whmcs@example.com', 'firstname' => 'Lin', 'lastname' => '<b>Wen</b>', 'companyname' => '', 'language' => 'chinese'],
            ];
        }

        private static function said(string $said): ?string
        {
            return $said === 'success' ? null : $said;
        }

        public function test(): ?string
        {
            $said = jinshitong_TestConnection($this->server);

            return $said['success'] ? null : $said['error'];
        }

        public function create(int $service): ?string { return self::said(jinshitong_CreateAccount($this->params($service))); }
        public function suspend(int $service): ?string { return self::said(jinshitong_SuspendAccount($this->params($service))); }
        public function unsuspend(int $service): ?string { return self::said(jinshitong_UnsuspendAccount($this->params($service))); }
        public function renew(int $service): ?string { return self::said(jinshitong_Renew($this->params($service))); }
        public function terminate(int $service): ?string { return self::said(jinshitong_TerminateAccount($this->params($service))); }
        public function undoTerminate(int $service): ?string { return self::said(jinshitong_UndoTerminate($this->params($service))); }

        public function changePlan(int $service, string $plan): ?string
        {
            $this->plan = $plan;

            return self::said(jinshitong_ChangePackage($this->params($service)));
        }

        public function signOn(int $service, ?string &$problem): ?string
        {
            $said = jinshitong_ServiceSingleSignOn($this->params($service));
            $problem = $said['errorMsg'] ?? null;

            return $said['redirectTo'] ?? null;
        }

        public function usage(int $service, ?string &$problem): ?array
        {
            WHMCS\Database\Capsule::$written = [];
            $problem = self::said(jinshitong_UsageUpdate($this->server));
            foreach (WHMCS\Database\Capsule::$written as $row) {
                if ($row['id'] === $service && $row['server'] === 7 && $row['table'] === 'tblhosting') {
                    return ['bytes' => $row['bwusage'] * 1024 * 1024];
                }
            }

            return null;
        }

        public function reference(int $service): string { return "whmcs-$service"; }
        public function keptId(int $service): string { return $this->models[$service]->serviceProperties->get('Jinshitong service id'); }
        public function keepId(int $service, string $id): void { $this->models[$service]->serviceProperties->save(['Jinshitong service id' => $id]); }
        public function forget(int $service): void { unset($this->models[$service]); $this->plan = 'small'; }
    }

    function host(string $packed): Host
    {
        require $packed . '/whmcs/modules/servers/jinshitong/jinshitong.php';
        foreach (['MetaData', 'ConfigOptions', 'ClientArea', 'ListAccounts', 'ChangePassword', 'AdminCustomButtonArray'] as $function) {
            check(function_exists("jinshitong_$function"), "WHMCS finds jinshitong_$function");
        }
        check(count(jinshitong_ConfigOptions()) <= 24, 'WHMCS has room for its options');

        return new Whmcs();
    }
}
