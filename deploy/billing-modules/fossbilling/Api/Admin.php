<?php

/** What staff do with an order beside its ordinary actions. */

declare(strict_types=1);

namespace Box\Mod\Servicejinshitong\Api;

class Admin extends \Api_Abstract
{
    public function test_connection(array $data): bool
    {
        return $this->getService()->testConnection();
    }

    public function change_plan(array $data): bool
    {
        return $this->getService()->changePlan($this->order($data), (string) ($data['plan'] ?? ''));
    }

    private function order(array $data): \Model_ClientOrder
    {
        return $this->di['db']->getExistingModelById('ClientOrder', (int) ($data['order_id'] ?? 0), 'Order not found');
    }
}
