{if $problem}
<div class="alert alert-warning">{$problem|escape:'html'}</div>
{else}
<dl class="row">
  <dt class="col-sm-4">State</dt><dd class="col-sm-8">{$service.state|escape:'html'}</dd>
  <dt class="col-sm-4">Host name</dt><dd class="col-sm-8">{$service.hostname|escape:'html'}</dd>
  <dt class="col-sm-4">Addresses</dt><dd class="col-sm-8">{foreach $service.addresses as $address}{$address|escape:'html'}<br>{/foreach}</dd>
</dl>
{/if}
