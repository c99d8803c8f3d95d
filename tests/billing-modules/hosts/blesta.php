<?php

/** Stands in for Blesta: a module class with an input that carries errors, packages, services with fields, clients. */

declare(strict_types=1);

final class Input
{
    private array|false $errors = false;

    public function setErrors(array $errors): void { $this->errors = $errors; }
    public function errors(): array|false { return $this->errors; }
    public function clear(): void { $this->errors = false; }
}

final class Clients
{
    public function get(int $id, bool $settings = true): object
    {
        return (object) ['id' => $id, 'email' => 'blesta@example.com', 'first_name' => 'Lin', 'last_name' => 'Wen'];
    }
}

final class Loader
{
    public static function loadComponents(object $parent, array $names): void
    {
        $parent->Input = new Input();
    }

    public static function loadModels(object $parent, array $names): void
    {
        $parent->Clients = new Clients();
    }
}

final class Language
{
    public static function loadLang(string $file, ?string $language, string $folder): void
    {
        $lang = [];
        require $folder . 'en_us/' . $file . '.php';
        self::$texts = $lang;
    }

    public static array $texts = [];

    public static function _(string $key, bool $return = false): string
    {
        return self::$texts[$key] ?? throw new LogicException("no text for $key");
    }
}

#[AllowDynamicProperties]
abstract class Module
{
    public ?object $row = null;

    protected function loadConfig(string $file): void
    {
        json_decode((string) file_get_contents($file), true, flags: JSON_THROW_ON_ERROR);
    }

    public function getModuleRow($id = null): ?object { return $this->row; }
    public function errors(): array|false { return $this->Input->errors(); }
}

final class Blesta implements Host
{
    private array $row = [];
    private object $package;
    /** @var array<int, object> */
    private array $services = [];

    public function __construct(private Jinshitong $module)
    {
        $this->package = self::package('small');
    }

    private static function package(string $plan): object
    {
        return (object) ['meta' => (object) ['plan' => $plan, 'image' => 'test']];
    }

    public function configure(string $address, string $token, bool $allowHttpOnLoopback): void
    {
        $this->row = ['host' => $address, 'token' => $token, 'allow_http_on_loopback' => $allowHttpOnLoopback ? 'true' : 'false'];
        $this->module->row = (object) ['meta' => (object) $this->row];
    }

    /** What Blesta does around each call: errors of the input are what failed. */
    private function attempt(callable $call, mixed &$given = null): ?string
    {
        $this->module->Input->clear();
        $given = $call();
        $errors = $this->module->errors();

        return $errors ? implode(' ', array_map(static fn (array $of) => implode(' ', $of), $errors)) : null;
    }

    private static function fields(array $meta): array
    {
        return array_map(static fn (array $field) => (object) $field, $meta);
    }

    public function test(): ?string
    {
        $vars = $this->row;

        return $this->attempt(fn () => $this->module->addModuleRow($vars), $meta) ?? (count($meta) === 3 ? null : 'the row is not kept');
    }

    /** A service is pending first, and is then activated with the fields that the module gave it. */
    public function create(int $service): ?string
    {
        $vars = ['client_id' => 4, 'jinshitong_hostname' => "vps$service", 'use_module' => 'false'];
        if (!isset($this->services[$service])) {
            $problem = $this->attempt(fn () => $this->module->addService($this->package, $vars), $meta);
            if ($problem !== null) {
                return $problem;
            }
            $this->services[$service] = (object) ['id' => $service, 'fields' => self::fields($meta)];
        }
        $kept = array_column(array_map(static fn ($field) => (array) $field, $this->services[$service]->fields), 'value', 'key');
        $problem = $this->attempt(fn () => $this->module->addService($this->package, ['use_module' => 'true'] + $kept + $vars), $meta);
        if ($problem === null) {
            $this->services[$service]->fields = self::fields($meta);
        }

        return $problem;
    }

    private function tell(string $function, int $service): ?string
    {
        return $this->attempt(fn () => $this->module->{$function}($this->package, $this->services[$service]));
    }

    public function suspend(int $service): ?string { return $this->tell('suspendService', $service); }
    public function unsuspend(int $service): ?string { return $this->tell('unsuspendService', $service); }
    public function renew(int $service): ?string { return $this->tell('renewService', $service); }
    public function terminate(int $service): ?string { return $this->tell('cancelService', $service); }
    public function undoTerminate(int $service): ?string { return $this->tell('undoCancelService', $service); }

    public function changePlan(int $service, string $plan): ?string
    {
        $to = self::package($plan);
        $problem = $this->attempt(fn () => $this->module->changeServicePackage($this->package, $to, $this->services[$service]));
        $this->package = $to;

        return $problem;
    }

    public function signOn(int $service, ?string &$problem): ?string
    {
        $problem = $this->attempt(fn () => $this->module->signOn($this->services[$service]), $url);

        return $url;
    }

    public function usage(int $service, ?string &$problem): ?array
    {
        $problem = $this->attempt(fn () => $this->module->usage(new DateTimeImmutable('-1 day')), $all);
        $used = $all[$this->reference($service)] ?? null;

        return $used === null ? null : ['bytes' => $used['traffic_in_bytes'] + $used['traffic_out_bytes']];
    }

    private function field(int $service, string $key): object
    {
        foreach ($this->services[$service]->fields as $field) {
            if ($field->key === $key) {
                return $field;
            }
        }
        throw new LogicException("the service has no $key");
    }

    public function reference(int $service): string { return $this->field($service, 'jinshitong_reference')->value; }
    public function keptId(int $service): string { return $this->field($service, 'jinshitong_service_id')->value; }
    public function keepId(int $service, string $id): void { $this->field($service, 'jinshitong_service_id')->value = $id; }

    /** Blesta never uses a reference again by itself; here it does, as the others may. */
    public function forget(int $service): void
    {
        $this->package = self::package('small');
        $this->field($service, 'jinshitong_service_id')->value = '';
    }
}

function host(string $packed): Host
{
    require $packed . '/blesta/components/modules/jinshitong/jinshitong.php';

    return new Blesta(new Jinshitong());
}
