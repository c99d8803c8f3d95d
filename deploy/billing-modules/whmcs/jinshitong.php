<?php

/**
 * WHMCS: modules/servers/jinshitong.
 *
 * The server's hostname is the portal's, its password the token.  Each function gives 'success' or says in words what
 * went wrong.  The id of the service is kept with the service (service properties), and every message names it.
 */

declare(strict_types=1);

use Jinshitong\Billing\BillingClient;
use Jinshitong\Billing\BillingException;

if (!defined('WHMCS')) {
    exit('This file cannot be accessed directly');
}

require_once __DIR__ . '/BillingClient.php';

const JINSHITONG_SERVICE_ID = 'Jinshitong service id';

function jinshitong_MetaData(): array
{
    return [
        'DisplayName' => 'Jinshitong VPS',
        'APIVersion' => '1.1',
        'RequiresServer' => true,
        'DefaultSSLPort' => '443',
        'DefaultNonSSLPort' => '8080',
        'ServiceSingleSignOnLabel' => 'Open the portal',
        'ListAccountsUniqueIdentifierDisplayName' => 'Reference',
        'ListAccountsUniqueIdentifierField' => 'username',
        'ListAccountsProductField' => 'configoption1',
    ];
}

function jinshitong_ConfigOptions(): array
{
    return [
        'Plan' => ['Type' => 'text', 'Size' => 30, 'Loader' => 'jinshitong_plans', 'SimpleMode' => true],
        'Image' => ['Type' => 'text', 'Size' => 30, 'Loader' => 'jinshitong_images', 'SimpleMode' => true,
            'Description' => 'A configurable option named Image goes first.'],
    ];
}

function jinshitong_plans(array $params): array
{
    return jinshitong_client($params)->plans();
}

function jinshitong_images(array $params): array
{
    return jinshitong_client($params)->images();
}

function jinshitong_TestConnection(array $params): array
{
    $said = jinshitong_do($params, 'TestConnection', static fn (BillingClient $client) => $client->test());

    return ['success' => $said === 'success', 'error' => $said === 'success' ? '' : $said];
}

function jinshitong_CreateAccount(array $params): string
{
    return jinshitong_do($params, 'CreateAccount', static function (BillingClient $client) use ($params): void {
        $service = $client->order(jinshitong_reference($params), jinshitong_order($params));
        $addresses = $service['addresses'] ?? [];
        $params['model']->serviceProperties->save([
            JINSHITONG_SERVICE_ID => $service['id'],
            'dedicatedip' => $addresses[0] ?? '',
            'assignedips' => implode("\n", array_slice($addresses, 1)),
        ]);
    });
}

function jinshitong_SuspendAccount(array $params): string
{
    return jinshitong_do($params, 'SuspendAccount', static fn (BillingClient $client) => $client->suspend(jinshitong_reference($params), jinshitong_service_id($params)));
}

function jinshitong_UnsuspendAccount(array $params): string
{
    return jinshitong_do($params, 'UnsuspendAccount', static fn (BillingClient $client) => $client->unsuspend(jinshitong_reference($params), jinshitong_service_id($params)));
}

function jinshitong_TerminateAccount(array $params): string
{
    return jinshitong_do($params, 'TerminateAccount', static fn (BillingClient $client) => $client->terminate(jinshitong_reference($params), jinshitong_service_id($params)));
}

function jinshitong_Renew(array $params): string
{
    return jinshitong_do($params, 'Renew', static fn (BillingClient $client) => $client->renew(jinshitong_reference($params), jinshitong_service_id($params)));
}

function jinshitong_ChangePackage(array $params): string
{
    return jinshitong_do($params, 'ChangePackage', static fn (BillingClient $client) => $client->changePlan(jinshitong_reference($params), jinshitong_service_id($params), (string) $params['configoption1']));
}

/** WHMCS never learns a password: the customer chooses one by a link in a mail. */
function jinshitong_ChangePassword(array $params): string
{
    return jinshitong_do($params, 'ChangePassword', static fn (BillingClient $client) => $client->resetPassword(jinshitong_reference($params)));
}

function jinshitong_AdminCustomButtonArray(): array
{
    return ['Undo termination' => 'UndoTerminate'];
}

function jinshitong_UndoTerminate(array $params): string
{
    return jinshitong_do($params, 'UndoTerminate', static fn (BillingClient $client) => $client->undoTerminate(jinshitong_reference($params), jinshitong_service_id($params)));
}

function jinshitong_ServiceSingleSignOn(array $params): array
{
    $url = '';
    $said = jinshitong_do($params, 'ServiceSingleSignOn', static function (BillingClient $client) use ($params, &$url): void {
        $url = $client->signOn(jinshitong_reference($params));
    });

    return $said === 'success' ? ['success' => true, 'redirectTo' => $url] : ['success' => false, 'errorMsg' => $said];
}

/** Once a day for each server: what passed since the month began, in MiB. */
function jinshitong_UsageUpdate(array $params): string
{
    return jinshitong_do($params, 'UsageUpdate', static function (BillingClient $client) use ($params): void {
        $since = new DateTimeImmutable('first day of this month 00:00:00', new DateTimeZone('UTC'));
        foreach ($client->usage($since) as $usage) {
            if (preg_match('/\Awhmcs-(\d+)\z/', $usage['external_ref'], $found) !== 1) {
                continue;
            }
            $bytes = $usage['traffic_in_bytes'] + $usage['traffic_out_bytes'];
            WHMCS\Database\Capsule::table('tblhosting')
                ->where('id', (int) $found[1])
                ->where('server', (int) $params['serverid'])
                ->update(['bwusage' => intdiv($bytes, 1024 * 1024), 'lastupdate' => date('Y-m-d H:i:s')]);
        }
    });
}

function jinshitong_ListAccounts(array $params): array
{
    $accounts = [];
    $said = jinshitong_do($params, 'ListAccounts', static function (BillingClient $client) use (&$accounts): void {
        $states = ['active' => 'Active', 'suspended' => 'Suspended', 'terminated' => 'Terminated'];
        foreach ($client->services() as $service) {
            $accounts[] = [
                'name' => $service['hostname'] ?? $service['external_ref'],
                'username' => $service['external_ref'],
                'domain' => $service['hostname'] ?? '',
                'uniqueIdentifier' => $service['external_ref'],
                'product' => $service['plan'] ?? '',
                'primaryip' => $service['addresses'][0] ?? '',
                'created' => date('Y-m-d H:i:s', (int) strtotime($service['created_at'])),
                'status' => $states[$service['entitlement']] ?? 'Pending',
            ];
        }
    });

    return $said === 'success' ? ['success' => true, 'accounts' => $accounts] : ['success' => false, 'error' => $said];
}

/** The template escapes all of it. */
function jinshitong_ClientArea(array $params): array
{
    $service = null;
    $said = jinshitong_do($params, 'ClientArea', static function (BillingClient $client) use ($params, &$service): void {
        $service = $client->service(jinshitong_reference($params));
    });

    return [
        'tabOverviewReplacementTemplate' => 'clientarea.tpl',
        'templateVariables' => ['service' => $service ?? [], 'problem' => $said === 'success' ? '' : 'The state of the server is not known at the moment.'],
    ];
}

/** Runs a call, and gives 'success' or the words of what went wrong; WHMCS's log has both without the token. */
function jinshitong_do(array $params, string $action, callable $call): string
{
    try {
        $call(jinshitong_client($params));
        $said = 'success';
    } catch (BillingException $error) {
        $said = $error->getMessage();
    } catch (Throwable $error) {
        $said = 'The module failed: ' . $error->getMessage();
    }
    if (function_exists('logModuleCall')) {
        logModuleCall('jinshitong', $action, jinshitong_reference($params), $said, '', [(string) ($params['serverpassword'] ?? '')]);
    }

    return $said;
}

function jinshitong_client(array $params): BillingClient
{
    // Without the tick at 'SSL' only a platform on this very machine is spoken to.
    $secure = (bool) ($params['serversecure'] ?? true);
    $port = (string) ($params['serverport'] ?? '');
    $address = ($secure ? 'https://' : 'http://') . $params['serverhostname'] . ($port === '' ? '' : ':' . $port);

    return new BillingClient($address, (string) ($params['serverpassword'] ?? ''), !$secure);
}

function jinshitong_reference(array $params): string
{
    return 'whmcs-' . (int) ($params['serviceid'] ?? 0);
}

function jinshitong_service_id(array $params): string
{
    return (string) ($params['model']->serviceProperties->get(JINSHITONG_SERVICE_ID) ?? '');
}

function jinshitong_order(array $params): array
{
    $client = $params['clientsdetails'];
    $key = trim((string) ($params['customfields']['SSH key'] ?? ''));

    return [
        'owner' => [
            'reference' => 'whmcs-client-' . (int) ($client['userid'] ?? $client['id'] ?? $params['userid'] ?? 0),
            'email' => (string) $client['email'],
            'name' => trim(($client['companyname'] ?? '') !== '' ? $client['companyname'] : $client['firstname'] . ' ' . $client['lastname']),
            'locale' => str_starts_with(strtolower((string) ($client['language'] ?? '')), 'chinese') ? 'zh-CN' : 'en',
        ],
        'plan' => (string) $params['configoption1'],
        'image' => (string) ($params['configoptions']['Image'] ?? $params['configoption2']),
        'hostname' => (string) ($params['domain'] ?? ''),
        'ssh_keys' => $key === '' ? [] : [$key],
    ];
}
