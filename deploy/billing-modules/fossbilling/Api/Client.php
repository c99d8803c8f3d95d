<?php

/** What customers do with their own orders, and nobody else's. */

declare(strict_types=1);

namespace Box\Mod\Servicejinshitong\Api;

class Client extends \Api_Abstract
{
    /** The address that signs the customer in to the portal, once. */
    public function sign_on(array $data): string
    {
        $order = $this->di['mod_service']('order')->findForClientById($this->getIdentity(), (int) ($data['order_id'] ?? 0));
        if (!$order instanceof \Model_ClientOrder) {
            throw new \FOSSBilling\InformationException('Order not found');
        }

        return $this->getService()->signOn($order);
    }
}
