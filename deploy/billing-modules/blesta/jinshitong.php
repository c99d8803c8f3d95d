<?php

/**
 * Blesta: components/modules/jinshitong.
 *
 * A module row is one platform: its address and a token.  What went wrong is set as an error of the input, which is how
 * Blesta learns that a call failed; fields are returned only where it did not.
 */

declare(strict_types=1);

use Jinshitong\Billing\BillingClient;
use Jinshitong\Billing\BillingException;

require_once __DIR__ . '/BillingClient.php';

class Jinshitong extends Module
{
    private const REFERENCE = 'jinshitong_reference';
    private const SERVICE_ID = 'jinshitong_service_id';
    private const HOSTNAME = 'jinshitong_hostname';
    private const SSH_KEY = 'jinshitong_ssh_key';

    public function __construct()
    {
        Loader::loadComponents($this, ['Input']);
        Language::loadLang('jinshitong', null, __DIR__ . '/language/');
        $this->loadConfig(__DIR__ . '/config.json');
    }

    public function getServiceName($service)
    {
        return $this->fields($service)[self::HOSTNAME] ?? null;
    }

    /** The list of platforms. */
    public function manageModule($module, array &$vars)
    {
        return $this->page('manage', ['module' => $module]);
    }

    public function manageAddRow(array &$vars)
    {
        return $this->page('row', ['vars' => (object) $vars]);
    }

    public function manageEditRow($module_row, array &$vars)
    {
        return $this->page('row', ['vars' => (object) ($vars !== [] ? $vars : (array) $module_row->meta)]);
    }

    /** A view; what it shows is escaped there. */
    private function page(string $name, array $shown): string
    {
        $this->view = new View($name, 'default');
        $this->view->setDefaultView('components' . DS . 'modules' . DS . 'jinshitong' . DS);
        Loader::loadHelpers($this, ['Form', 'Html', 'Widget']);
        foreach ($shown as $key => $value) {
            $this->view->set($key, $value);
        }

        return $this->view->fetch();
    }

    /** @param array $vars host, token, allow_http_on_loopback */
    public function addModuleRow(array &$vars)
    {
        $rows = [];
        $this->attempt(static function () use ($vars, &$rows): void {
            self::connect($vars)->test();
            foreach (['host' => 0, 'token' => 1, 'allow_http_on_loopback' => 0] as $key => $encrypted) {
                $rows[] = ['key' => $key, 'value' => (string) ($vars[$key] ?? ''), 'encrypted' => $encrypted];
            }
        });

        return $rows === [] ? null : $rows;
    }

    public function editModuleRow($module_row, array &$vars)
    {
        return $this->addModuleRow($vars);
    }

    public function validatePackage(array $vars = null)
    {
        $missing = [];
        foreach (['plan', 'image'] as $name) {
            if (trim((string) ($vars['meta'][$name] ?? '')) === '') {
                $missing['meta[' . $name . ']'] = ['empty' => Language::_('Jinshitong.!error.' . $name, true)];
            }
        }
        if ($missing !== []) {
            $this->Input->setErrors($missing);
        }

        return $missing === [];
    }

    public function addPackage(array $vars = null)
    {
        if (!$this->validatePackage($vars)) {
            return null;
        }
        $meta = [];
        foreach ($vars['meta'] as $key => $value) {
            $meta[] = ['key' => $key, 'value' => $value, 'encrypted' => 0];
        }

        return $meta;
    }

    public function editPackage($package, array $vars = null)
    {
        return $this->addPackage($vars);
    }

    public function getPackageFields($vars = null)
    {
        $fields = new ModuleFields();
        foreach (['plan' => 'plans', 'image' => 'images'] as $name => $list) {
            $options = [];
            $this->attempt(function () use (&$options, $list): void {
                $options = $this->client()->{$list}();
            });
            $label = $fields->label(Language::_('Jinshitong.package.' . $name, true), 'jinshitong_' . $name);
            $label->attach($fields->fieldSelect('meta[' . $name . ']', $options, $vars->meta[$name] ?? null, ['id' => 'jinshitong_' . $name]));
            $fields->setField($label);
        }

        return $fields;
    }

    public function getClientAddFields($package, $vars = null)
    {
        $fields = new ModuleFields();
        foreach ([self::HOSTNAME, self::SSH_KEY] as $name) {
            $label = $fields->label(Language::_('Jinshitong.service.' . $name, true), $name);
            $label->attach($fields->fieldText($name, $vars->{$name} ?? null, ['id' => $name]));
            $fields->setField($label);
        }

        return $fields;
    }

    public function getAdminAddFields($package, $vars = null)
    {
        return $this->getClientAddFields($package, $vars);
    }

    public function validateService($package, array $vars = null)
    {
        $hostname = (string) ($vars[self::HOSTNAME] ?? '');
        if ($hostname !== '' && preg_match('/\A[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\z/', $hostname) !== 1) {
            $this->Input->setErrors([self::HOSTNAME => ['format' => Language::_('Jinshitong.!error.hostname', true)]]);

            return false;
        }

        return true;
    }

    public function addService($package, array $vars = null, $parent_package = null, $parent_service = null, $status = 'pending')
    {
        $vars ??= [];
        if (!$this->validateService($package, $vars)) {
            return null;
        }
        // Blesta gives a service its number after the module made it.  The reference is drawn once, and kept while the
        // service is pending, so that its activation finds what an earlier attempt has made.
        $reference = (string) ($vars[self::REFERENCE] ?? '');
        $reference = $reference !== '' ? $reference : 'blesta-' . bin2hex(random_bytes(12));
        $id = '';
        if (($vars['use_module'] ?? 'false') === 'true') {
            $this->attempt(function () use ($package, $vars, $reference, &$id): void {
                $id = $this->client()->order($reference, $this->order($package, $vars))['id'];
            });
            if ($id === '') {
                return null;
            }
        }

        return self::meta([
            self::REFERENCE => $reference,
            self::SERVICE_ID => $id,
            self::HOSTNAME => (string) ($vars[self::HOSTNAME] ?? ''),
            self::SSH_KEY => (string) ($vars[self::SSH_KEY] ?? ''),
        ]);
    }

    /** What the customer calls the instance is changed in the portal; here only what Blesta keeps. */
    public function editService($package, $service, array $vars = null, $parent_package = null, $parent_service = null)
    {
        return self::meta($this->fields($service));
    }

    public function suspendService($package, $service, $parent_package = null, $parent_service = null)
    {
        return $this->tell($service, static fn (BillingClient $client, string $reference, string $id) => $client->suspend($reference, $id));
    }

    public function unsuspendService($package, $service, $parent_package = null, $parent_service = null)
    {
        return $this->tell($service, static fn (BillingClient $client, string $reference, string $id) => $client->unsuspend($reference, $id));
    }

    public function renewService($package, $service, $parent_package = null, $parent_service = null)
    {
        return $this->tell($service, static fn (BillingClient $client, string $reference, string $id) => $client->renew($reference, $id));
    }

    public function cancelService($package, $service, $parent_package = null, $parent_service = null)
    {
        return $this->tell($service, static fn (BillingClient $client, string $reference, string $id) => $client->terminate($reference, $id));
    }

    /** For staff, within the grace period. */
    public function undoCancelService($package, $service)
    {
        return $this->tell($service, static fn (BillingClient $client, string $reference, string $id) => $client->undoTerminate($reference, $id));
    }

    public function changeServicePackage($package_from, $package_to, $service, $parent_package = null, $parent_service = null)
    {
        $plan = (string) $package_to->meta->plan;

        return $this->tell($service, static fn (BillingClient $client, string $reference, string $id) => $client->changePlan($reference, $id, $plan));
    }

    /** Where the browser of the customer is sent; null with an error where it cannot be. */
    public function signOn($service): ?string
    {
        $url = null;
        $this->tell($service, static function (BillingClient $client, string $reference) use (&$url): void {
            $url = $client->signOn($reference);
        });

        return $url;
    }

    /** @return array<string, array> what each service used since then, by its reference */
    public function usage(\DateTimeInterface $since): array
    {
        $used = [];
        $this->attempt(function () use ($since, &$used): void {
            foreach ($this->client()->usage($since) as $usage) {
                $used[$usage['external_ref']] ??= $usage;
            }
        });

        return $used;
    }

    /** Null: the fields of the service stay as they are. */
    private function tell($service, callable $call)
    {
        $fields = $this->fields($service);
        $this->attempt(fn () => $call($this->client(), (string) ($fields[self::REFERENCE] ?? ''), (string) ($fields[self::SERVICE_ID] ?? '')));

        return null;
    }

    private function attempt(callable $call): void
    {
        try {
            $call();
        } catch (BillingException $error) {
            $this->Input->setErrors(['api' => ['response' => $error->getMessage()]]);
        } catch (Throwable $error) {
            $this->Input->setErrors(['api' => ['internal' => 'The module failed: ' . $error->getMessage()]]);
        }
    }

    private function client(): BillingClient
    {
        $row = $this->getModuleRow();
        if (!$row) {
            throw new BillingException('No platform is set up for this package.');
        }

        return self::connect((array) $row->meta);
    }

    private static function connect(array $row): BillingClient
    {
        return new BillingClient((string) ($row['host'] ?? ''), (string) ($row['token'] ?? ''), ($row['allow_http_on_loopback'] ?? '') === 'true');
    }

    private function order($package, array $vars): array
    {
        Loader::loadModels($this, ['Clients']);
        $client = $this->Clients->get((int) $vars['client_id'], false);
        $key = trim((string) ($vars[self::SSH_KEY] ?? ''));

        return [
            'owner' => [
                'reference' => 'blesta-client-' . (int) $client->id,
                'email' => (string) $client->email,
                'name' => trim($client->first_name . ' ' . $client->last_name),
            ],
            'plan' => (string) $package->meta->plan,
            'image' => (string) ($vars['configoptions']['image'] ?? $package->meta->image),
            'hostname' => (string) ($vars[self::HOSTNAME] ?? ''),
            'ssh_keys' => $key === '' ? [] : [$key],
        ];
    }

    /** @return array<string, string> */
    private function fields($service): array
    {
        return array_column(array_map(static fn ($field) => (array) $field, $service->fields ?? []), 'value', 'key');
    }

    private static function meta(array $fields): array
    {
        return array_map(static fn (string $key) => ['key' => $key, 'value' => $fields[$key], 'encrypted' => 0], array_keys($fields));
    }
}
